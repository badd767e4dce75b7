"""What the Python clients share: their options, the audio, and the record they print."""

import argparse
import json
import sys
import threading
import time
import wave

CHUNK_MS = 100
CONNECT_DEADLINE_S = 10
STOP_DEADLINE_S = 30


def parse_options(description, **choices):
    """The command line all clients understand; choices names the further options and their values."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True, help="http://HOST:PORT of the service")
    parser.add_argument("--token", default="", help="any credential the service knows")
    parser.add_argument("--wav", required=True, help="16 kHz mono 16-bit WAV file")
    parser.add_argument("--lang", default="en")
    parser.add_argument("--realtime-factor", type=float, default=1.0, help="0: without pauses")
    for name, values in choices.items():
        parser.add_argument(f"--{name}", choices=values, default=values[0])
    return parser.parse_args()


def read_chunks(path):
    """The samples of a WAV file, cut in chunks."""
    with wave.open(path) as file:
        form = (file.getnchannels(), file.getframerate(), file.getsampwidth())
        if form != (1, 16000, 2):
            raise SystemExit(f"{path}: wants mono, 16000 Hz, 2 bytes; has {form}")
        samples = file.readframes(file.getnframes())
    size = 16000 * 2 * CHUNK_MS // 1000
    return [samples[at : at + size] for at in range(0, len(samples), size)]


class Recording:
    """All that a client saw, with times in ms since the start."""

    def __init__(self, client):
        self.began = time.monotonic()
        self.changed = threading.Condition()
        self.seen = {
            "client": client,
            "outcome": "timeout",
            "transport": None,
            "chunks_sent": 0,
            "audio_started_ms": None,
            "stop_sent_ms": None,
            "acks": {"expected": 0, "received": 0, "with_arguments": 0},
            "connect_errors": [],
            "disconnects": [],
            "events": [],
        }

    def now(self):
        return round((time.monotonic() - self.began) * 1000)

    def add(self, to, **entry):
        with self.changed:
            self.seen[to].append({**entry, "t_ms": self.now()})
            self.changed.notify_all()

    def event(self, name, payload):
        self.add("events", name=name, payload=payload)

    def ack(self, *arguments):
        with self.changed:
            self.seen["acks"]["received"] += 1
            self.seen["acks"]["with_arguments"] += bool(arguments)

    def wait_for(self, name, deadline_s):
        """Waits for an event; "disconnected" or "timeout" tells why it did not come."""

        def arrived():
            if any(event["name"] == name for event in self.seen["events"]):
                return name
            return "disconnected" if self.seen["disconnects"] else None

        with self.changed:
            return self.changed.wait_for(arrived, deadline_s) or "timeout"

    def stream(self, chunks, factor, send):
        """Chunk k is due at the start plus k chunk lengths, whatever the earlier ones did."""
        start = time.monotonic()
        self.seen["audio_started_ms"] = self.now()
        for k, chunk in enumerate(chunks):
            due = start + k * CHUNK_MS / 1000 / factor if factor > 0 else 0
            time.sleep(max(0, due - time.monotonic()))
            if self.seen["disconnects"]:
                return
            send(chunk)
            self.seen["chunks_sent"] += 1

    def finish(self, outcome):
        """Prints the record and ends the process: 0 when the service confirmed the stop."""
        self.seen["outcome"] = outcome
        print(json.dumps(self.seen, ensure_ascii=False), flush=True)
        sys.exit(0 if outcome == "stopped" else 1)
