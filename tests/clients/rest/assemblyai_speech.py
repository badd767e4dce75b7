"""assemblyai (PyPI): upload, transcript, poll."""

import assemblyai

import checks

assemblyai.settings.base_url = checks.URL
assemblyai.settings.api_key = checks.KEY
assemblyai.settings.polling_interval = 0.1
told = assemblyai.Transcriber().transcribe(checks.AUDIO)
checks.check("status", told.status == assemblyai.TranscriptStatus.completed, told.error)
checks.check("text", told.text == checks.EXPECTED, told.text)
checks.check("words", len(told.words) == len(checks.EXPECTED.split()), told.words)
assemblyai.settings.api_key = "wrong"
wrong = assemblyai.Client(settings=assemblyai.Settings(base_url=checks.URL, api_key="wrong"))
checks.refused(
    "bad key",
    Exception,
    lambda: assemblyai.Transcriber(client=wrong).transcribe(checks.AUDIO),
)
checks.finish()
