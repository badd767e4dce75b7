"""deepgram-sdk 3: callbacks, and a hard close half a second after finish()."""

import threading
import time

from deepgram import (
    DeepgramApiError,
    DeepgramClient,
    DeepgramClientOptions,
    LiveOptions,
    LiveTranscriptionEvents,
    PrerecordedOptions,
)

import checks


def client(key):
    return DeepgramClient(key, DeepgramClientOptions(url=checks.URL, verbose=50))


def options():
    return LiveOptions(
        model="nova-2",
        language="en",
        encoding="linear16",
        sample_rate=16000,
        punctuate=True,
        smart_format=True,
        interim_results=True,
        utterance_end_ms="1000",
        vad_events=True,
    )


def live():
    results, summaries, others = [], [], []
    done = threading.Event()
    connection = client(checks.KEY).listen.websocket.v("1")

    def on_summary(_, metadata, **__):
        summaries.append(metadata)
        done.set()

    connection.on(LiveTranscriptionEvents.Transcript, lambda _, result, **__: results.append(result))
    connection.on(LiveTranscriptionEvents.Metadata, on_summary)
    connection.on(LiveTranscriptionEvents.SpeechStarted, lambda _, **__: others.append("started"))
    connection.on(LiveTranscriptionEvents.Error, lambda _, error, **__: others.append(error))
    checks.check("3 live start", connection.start(options()))
    for chunk in checks.chunks():
        connection.send(chunk)
        time.sleep(checks.PAUSE_SECONDS)
    connection.finish()
    done.wait(5)
    finals = [result for result in results if result.is_final]
    text = " ".join(result.channel.alternatives[0].transcript for result in finals)
    checks.check("3 live words", checks.same_words(text), text)
    checks.check("3 live interims", any(not result.is_final for result in results))
    checks.check("3 live speech_final", any(result.speech_final for result in finals))
    checks.check("3 live speech started", "started" in others, others)
    checks.check("3 live metadata", bool(summaries), "none")
    if summaries:
        duration = summaries[0].duration
        checks.check("3 live duration", abs(duration - checks.seconds()) < 0.1, duration)


def live_refused():
    connection = client(checks.BAD_KEY).listen.websocket.v("1")
    checks.check("3 live bad key", connection.start(options()) is False)


def recorded():
    asked = PrerecordedOptions(model="nova-2", smart_format=True, utterances=True, diarize=True)
    door = client(checks.KEY).listen.rest.v("1")
    answer = door.transcribe_file({"buffer": checks.file_bytes()}, asked)
    text = answer.results.channels[0].alternatives[0].transcript
    checks.check("3 file words", checks.same_words(text), text)
    checks.check("3 file utterances", bool(answer.results.utterances))
    try:
        client(checks.BAD_KEY).listen.rest.v("1").transcribe_file({"buffer": b"x"}, asked)
        checks.check("3 file bad key", False, "accepted")
    except DeepgramApiError as error:
        checks.check("3 file bad key", "401" in str(error.status), error)


def recorded_url():
    door = client(checks.KEY).listen.rest.v("1")
    asked = PrerecordedOptions(model="nova-2", smart_format=True)
    answer = door.transcribe_url({"url": checks.AUDIO_URL}, asked)
    text = answer.results.channels[0].alternatives[0].transcript
    checks.check("3 url words", checks.same_words(text), text)


live()
live_refused()
recorded()
recorded_url()
checks.finish()
