"""Streams a WAV file through the official Socket.IO client of PyPI and prints what it saw as JSON."""

import base64

import socketio

from recording import CONNECT_DEADLINE_S, STOP_DEADLINE_S, Recording, parse_options, read_chunks

NAMESPACE = "/audio-stream"

FORMS = {
    "base64": lambda chunk: ("audio_chunk", {"audio_chunk": base64.b64encode(chunk).decode()}),
    "binary": lambda chunk: ("audio_chunk", {"audio_chunk": chunk}),
    "alias": lambda chunk: ("audio_data", base64.b64encode(chunk).decode()),
}


def connect(options, recording):
    """Connects, recording every event; None when the service refuses."""
    client = socketio.Client(reconnection=False)
    client.on("*", lambda name, *payload: recording.event(name, payload[0] if payload else None), NAMESPACE)
    client.on("disconnect", lambda reason=None: recording.add("disconnects", reason=reason), NAMESPACE)
    client.on(
        "connect_error",
        lambda error=None: recording.add("connect_errors", message=message_of(error), data=error),
        NAMESPACE,
    )
    try:
        client.connect(
            f"{options.url}?lang={options.lang}",
            namespaces=[NAMESPACE],
            auth={"token": options.token},
            transports=None if options.transport == "default" else [options.transport],
            wait_timeout=CONNECT_DEADLINE_S,
        )
    except socketio.exceptions.ConnectionError as error:
        if not recording.seen["connect_errors"]:
            recording.add("connect_errors", message=str(error), data=None)
        return None
    return client


def message_of(error):
    return error.get("message") if isinstance(error, dict) else str(error)


def main():
    options = parse_options(
        __doc__, encoding=list(FORMS), transport=["websocket", "default", "polling"]
    )
    chunks = read_chunks(options.wav)
    recording = Recording("python-socketio")
    client = connect(options, recording)
    if client is None:
        recording.finish("rejected")

    def send(chunk):
        name, payload = FORMS[options.encoding](chunk)
        recording.seen["acks"]["expected"] += 1
        client.emit(name, payload, namespace=NAMESPACE, callback=recording.ack)

    outcome = recording.wait_for("connected", CONNECT_DEADLINE_S)
    if outcome == "connected":
        recording.stream(chunks, options.realtime_factor, send)
        recording.seen["transport"] = client.transport()
        recording.seen["stop_sent_ms"] = recording.now()
        if not recording.seen["disconnects"]:
            client.emit("stop_streaming", namespace=NAMESPACE)
        outcome = recording.wait_for("streaming_stopped", STOP_DEADLINE_S)
    client.disconnect()
    recording.finish("stopped" if outcome == "streaming_stopped" else outcome)


if __name__ == "__main__":
    main()
