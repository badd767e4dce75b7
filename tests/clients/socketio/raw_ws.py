"""Streams a WAV file over the raw WebSocket at /audio-stream and prints what it saw as JSON."""

import json
import threading

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from recording import CONNECT_DEADLINE_S, STOP_DEADLINE_S, Recording, parse_options, read_chunks


def open_socket(options, recording):
    """Opens the socket; None when the service refuses."""
    url = f"{options.url.replace('http', 'ws', 1)}/audio-stream?lang={options.lang}"
    headers = {"Authorization": f"Bearer {options.token}"}
    try:
        return connect(url, additional_headers=headers, open_timeout=CONNECT_DEADLINE_S)
    except (InvalidHandshake, OSError, TimeoutError) as error:
        response = getattr(error, "response", None)
        status = response.status_code if response else None
        body = response.body.decode(errors="replace") if response and response.body else None
        recording.add("connect_errors", message=str(error), data={"status": status, "body": body})
        return None


def receive(socket, recording):
    try:
        for message in socket:
            payload = json.loads(message)
            recording.event(payload.pop("type"), payload)
    except ConnectionClosed:
        pass
    reason = {"code": socket.close_code, "text": socket.close_reason}
    recording.add("disconnects", reason=reason)


def send_unless_closed(socket, message):
    try:
        socket.send(message)
    except ConnectionClosed:
        pass  # the receiving thread records the close with its code


def main():
    options = parse_options(__doc__)
    chunks = read_chunks(options.wav)
    recording = Recording("websockets")
    socket = open_socket(options, recording)
    if socket is None:
        recording.finish("rejected")
    recording.seen["transport"] = "websocket"
    threading.Thread(target=receive, args=(socket, recording), daemon=True).start()

    outcome = recording.wait_for("connected", CONNECT_DEADLINE_S)
    if outcome == "connected":
        recording.stream(
            chunks, options.realtime_factor, lambda chunk: send_unless_closed(socket, chunk)
        )
        recording.seen["stop_sent_ms"] = recording.now()
        send_unless_closed(socket, json.dumps({"type": "stop_streaming"}))
        outcome = recording.wait_for("streaming_stopped", STOP_DEADLINE_S)
    socket.close()
    recording.finish("stopped" if outcome == "streaming_stopped" else outcome)


if __name__ == "__main__":
    main()
