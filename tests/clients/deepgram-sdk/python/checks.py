"""What every Python generation of the SDK must see: settings from the environment, PASS and FAIL."""

import os
import re
import sys
import wave

URL = os.environ["DEEPGRAM_URL"].rstrip("/")
KEY = os.environ["DEEPGRAM_KEY"]
BAD_KEY = "wrong-" + KEY
AUDIO = os.environ["DEEPGRAM_AUDIO"]
EXPECTED = os.environ["DEEPGRAM_EXPECTED"]
AUDIO_URL = os.environ["DEEPGRAM_AUDIO_URL"]
GRANTS = os.environ["DEEPGRAM_GRANTS"] == "yes"
CHUNK_SECONDS = 0.1
PAUSE_SECONDS = 0.005

failures = 0


def check(name, passed, detail=""):
    """Prints one line; the run fails when any check does."""
    global failures
    failures += not passed
    print(f"{'PASS' if passed else 'FAIL'} {name}{'' if passed else f': {detail}'}", flush=True)


def finish():
    sys.exit(1 if failures else 0)


def words(text):
    return re.sub(r"[^\w\s]", "", text.lower()).split()


def same_words(text):
    return words(text) == words(EXPECTED)


def chunks():
    with wave.open(AUDIO) as clip:
        while frames := clip.readframes(int(clip.getframerate() * CHUNK_SECONDS)):
            yield frames


def seconds():
    with wave.open(AUDIO) as clip:
        return clip.getnframes() / clip.getframerate()


def file_bytes():
    with open(AUDIO, "rb") as clip:
        return clip.read()
