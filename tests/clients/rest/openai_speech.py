"""openai (PyPI): transcriptions, of OpenAI's wire or of a door that speaks it."""

import os

import openai

import checks

DOOR = os.environ.get("SDK_DOOR") == "true"


def client(key=checks.KEY):
    return openai.OpenAI(api_key=key, base_url=f"{checks.URL}/v1", max_retries=0)


def ask(key=checks.KEY, **options):
    with open(checks.AUDIO, "rb") as audio:
        return client(key).audio.transcriptions.create(file=audio, **options)


plain = ask(model="whisper-1")
checks.check("json", plain.text == checks.EXPECTED, plain)
verbose = ask(
    model="whisper-1", response_format="verbose_json", timestamp_granularities=["segment", "word"]
)
checks.check("verbose_json", verbose.text == checks.EXPECTED, verbose)
checks.check("words", len(verbose.words) == len(checks.EXPECTED.split()), verbose.words)
checks.check("segments", verbose.segments[0].start >= 0, verbose.segments)
checks.refused("bad key", openai.AuthenticationError, lambda: ask("wrong", model="whisper-1"))
if DOOR:
    for form, start in [("text", checks.EXPECTED[:9]), ("srt", "1\n00:00:"), ("vtt", "WEBVTT")]:
        told = ask(model="whisper-1", response_format=form)
        checks.check(form, told.startswith(start), told)
    events = list(ask(model="gpt-transcribe", stream=True))
    deltas = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    checks.check("stream deltas", deltas == checks.EXPECTED, deltas)
    checks.check("stream done", events[-1].text == checks.EXPECTED, events[-1])
    checks.refused("bad field", openai.BadRequestError, lambda: ask(model="whisper-1", temperature=9))
checks.finish()
