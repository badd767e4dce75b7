"""deepgram-sdk 7: generated clients, typed messages, grants."""

import threading
import time

from deepgram import DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment

import checks

SOCKETS = checks.URL.replace("http", "ws", 1)
PLACE = DeepgramClientEnvironment(
    base=checks.URL, production=SOCKETS, agent=SOCKETS, agent_rest=checks.URL
)
ASKED = {
    "model": "nova-3",
    "language": "en",
    "encoding": "linear16",
    "sample_rate": "16000",
    "interim_results": "true",
    "smart_format": "true",
    "keyterm": ["country", "fellow Americans"],
}


def client(**credential):
    return DeepgramClient(environment=PLACE, **credential)


def live():
    messages = []
    with client(api_key=checks.KEY).listen.v1.connect(**ASKED) as connection:
        connection.on(EventType.MESSAGE, messages.append)
        listener = threading.Thread(target=connection.start_listening, daemon=True)
        listener.start()
        for chunk in checks.chunks():
            connection.send_media(chunk)
            time.sleep(checks.PAUSE_SECONDS)
        connection.send_keep_alive()
        connection.send_finalize()
        connection.send_close_stream()
        listener.join(5)
    kinds = [getattr(message, "type", "?") for message in messages]
    results = [message for message in messages if getattr(message, "type", "") == "Results"]
    finals = [result for result in results if result.is_final]
    text = " ".join(result.channel.alternatives[0].transcript for result in finals)
    checks.check("7 live words", checks.same_words(text), text)
    checks.check("7 live interims", any(not result.is_final for result in results))
    checks.check("7 live finalize", any(result.from_finalize for result in results))
    checks.check("7 live metadata last", kinds[-1:] == ["Metadata"], kinds[-3:])
    typed = {type(message).__name__ for message in messages}
    checks.check("7 live messages are typed", "dict" not in typed, typed)


def live_refused():
    try:
        with client(api_key=checks.BAD_KEY).listen.v1.connect(**ASKED):
            checks.check("7 live bad key", False, "accepted")
    except ApiError as error:
        checks.check("7 live bad key", error.status_code == 401, error)
    except Exception as error:  # the websockets library's own refusal
        checks.check("7 live bad key", "401" in str(error), error)


def recorded():
    media = client(api_key=checks.KEY).listen.v1.media
    answer = media.transcribe_file(
        request=checks.file_bytes(), model="nova-3", smart_format=True, paragraphs=True
    )
    text = answer.results.channels[0].alternatives[0].transcript
    checks.check("7 file words", checks.same_words(text), text)
    paragraphs = answer.results.channels[0].alternatives[0].paragraphs
    checks.check("7 file paragraphs", bool(paragraphs and paragraphs.paragraphs))
    answer = media.transcribe_url(url=checks.AUDIO_URL, model="nova-3")
    text = answer.results.channels[0].alternatives[0].transcript
    checks.check("7 url words", checks.same_words(text), text)
    try:
        refused = client(api_key=checks.BAD_KEY).listen.v1.media
        refused.transcribe_file(request=b"x", model="nova-3")
        checks.check("7 file bad key", False, "accepted")
    except ApiError as error:
        checks.check("7 file bad key", error.status_code == 401, error)


def granted():
    grant = client(api_key=checks.KEY).auth.v1.tokens.grant(ttl_seconds=30)
    checks.check("7 grant", bool(grant.access_token) and grant.expires_in == 30, grant)
    with client(access_token=grant.access_token).listen.v1.connect(**ASKED) as connection:
        connection.send_media(next(checks.chunks()))
        connection.send_close_stream()
        last = [message for message in connection][-1]
    checks.check("7 live with a granted token", last.type == "Metadata", last)


live()
live_refused()
recorded()
if checks.GRANTS:
    granted()
checks.finish()
