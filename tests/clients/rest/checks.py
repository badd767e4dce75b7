"""What every client shares: settings from the environment, PASS and FAIL lines, an exit code."""

import json
import os
import sys

URL = os.environ["SDK_URL"].rstrip("/")
KEY = os.environ["SDK_KEY"]
AUDIO = os.environ["SDK_AUDIO"]
EXPECTED = os.environ["SDK_EXPECTED"]

failures = 0


def check(name, passed, detail=""):
    """Prints one line; the run fails when any check does."""
    global failures
    failures += not passed
    print(f"{'PASS' if passed else 'FAIL'} {name}{'' if passed else f': {detail}'}", flush=True)


def refused(name, error, call):
    """A call that has to fail with that error."""
    try:
        check(name, False, f"accepted: {call()}")
    except error:
        check(name, True)


def setting(name):
    return json.loads(os.environ[name])


def finish():
    sys.exit(1 if failures else 0)
