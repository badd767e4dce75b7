"""openai (PyPI): chat completions of OpenAI and of DeepSeek."""

import os

import openai

import checks

TEXT = "Good morning, doctor."


def client(key=checks.KEY):
    base = f"{checks.URL}{os.environ['SDK_PATH']}"
    return openai.OpenAI(api_key=key, base_url=base, max_retries=0)


def ask(key=checks.KEY, **options):
    messages = [{"role": "system", "content": "Translate."}, {"role": "user", "content": TEXT}]
    extra = {"thinking": {"type": "disabled"}} if os.environ["SDK_PATH"] == "" else {}
    completions = client(key).chat.completions
    return completions.create(model="a-model", messages=messages, extra_body=extra, **options)


whole = ask()
checks.check("text", whole.choices[0].message.content == TEXT.upper(), whole)
checks.check("usage", whole.usage.total_tokens == 6, whole.usage)
checks.check("finish", whole.choices[0].finish_reason == "stop", whole)
chunks = list(ask(stream=True, stream_options={"include_usage": True}))
told = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
checks.check("stream", told == TEXT.upper(), told)
checks.check("stream usage", chunks[-1].usage.completion_tokens == 3, chunks[-1])
checks.refused("bad key", openai.AuthenticationError, lambda: ask("wrong"))
checks.finish()
