"""Names that change their address, met by the real service in a network of its own.

usage: unshare --map-root-user --net --mount python3 rebinding.py SERVICE CLIP

In that network a public address is this machine's own, a name server answers as it likes, and
whoever connects to loopback's port 80 is counted. PASS and FAIL lines; nothing leaves the namespace.
"""

import json
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PUBLIC, INSIDE = "93.184.215.14", "127.0.0.1"
PROVIDER_PORT, SERVICE_PORT = 8099, 8098
SERVICE, CLIP = sys.argv[1], pathlib.Path(sys.argv[2]).read_bytes()
TEXT = "ask not what your country can do for you"
# What each name answers: the last answer stands.
NAMES = {
    "steady.test": [[PUBLIC]],
    "rebinds.test": [[PUBLIC], [INSIDE]],
    "both.test": [[PUBLIC, INSIDE]],
    "inside.test": [[INSIDE]],
}
asked = {name: 0 for name in NAMES}
failed = False


def check(name, passed, detail=""):
    global failed
    failed |= not passed
    print(f"{'PASS' if passed else 'FAIL'} {name}{'' if passed else f': {detail}'}", flush=True)


def own_network(folder):
    """Loopback with the public address on it, and our name server for everybody in it."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "addr", "add", f"{PUBLIC}/32", "dev", "lo"], check=True)
    conf = pathlib.Path(folder) / "resolv.conf"
    conf.write_text(f"nameserver {INSIDE}\noptions timeout:1 attempts:2\n")
    subprocess.run(["mount", "--bind", str(conf), "/etc/resolv.conf"], check=True)


def name_of(question):
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    return ".".join(labels).lower(), question[12 : at + 5], question[at + 1 : at + 3]


def answer_names(server):
    """RFC 1035: an answer is the question with the addresses behind it."""
    while True:
        question, sender = server.recvfrom(512)
        name, asked_for, kind = name_of(question)
        addresses = []
        if name in NAMES and kind == b"\0\1":
            answers = NAMES[name]
            addresses = answers[min(asked[name], len(answers) - 1)]
            asked[name] += 1
        records = b"".join(
            b"\xc0\x0c\0\1\0\1" + struct.pack(">IH", 0, 4) + socket.inet_aton(address)
            for address in addresses
        )
        head = question[:2] + struct.pack(">HHHHH", 0x8580, 1, len(addresses), 0, 0)
        server.sendto(head + asked_for + records, sender)


class Files(BaseHTTPRequestHandler):
    """What is public: a recording, and a way inside."""

    def do_GET(self):
        if self.path == "/way-inside":
            self.send_response(302)
            self.send_header("location", "http://inside.test/a.wav")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("content-length", str(len(CLIP)))
        self.end_headers()
        self.wfile.write(CLIP)

    def log_message(self, *_):
        pass


class Provider(BaseHTTPRequestHandler):
    """Deepgram, for whom every recording says the same."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        told = {"transcript": TEXT, "confidence": 1.0, "words": []}
        body = json.dumps(
            {
                "metadata": {"request_id": "1", "duration": 11.0, "channels": 1},
                "results": {"channels": [{"alternatives": [told]}]},
            }
        ).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(address, handler):
    server = ThreadingHTTPServer(address, handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


class Canary:
    """Counts who comes."""

    def __init__(self):
        self.count, self.listener = 0, socket.create_server((INSIDE, 80))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            self.listener.accept()[0].close()
            self.count += 1


def start_service(folder):
    log = pathlib.Path(folder) / "service.log"
    environment = {
        "PATH": "/usr/bin:/bin",
        "ENVIRONMENT": "development",
        "PORT": str(SERVICE_PORT),
        "DATABASE_URL": f"postgres://nobody@{INSIDE}:1/none",
        "REDIS_URL": f"redis://{INSIDE}:1",
        "SECRET_KEY": "the secret of a service under test",
        "JWT_SECRET_KEY": "the secret of tokens under test",
        "DEEPGRAM_API_KEY": "a-key",
        "DEEPGRAM_BASE_URL": f"http://{INSIDE}:{PROVIDER_PORT}",
        "USAGE_SCRATCH_DIR": folder,
        "UPLOAD_DIR": f"{folder}/uploads",
    }
    with log.open("wb") as out:
        service = subprocess.Popen([SERVICE], env=environment, stdout=out, stderr=out, cwd=folder)
    for _ in range(300):
        token = re.search(r"#token=([^\s\"]+)", log.read_text(errors="replace"))
        if token:
            return service, token.group(1)
        time.sleep(0.1)
    sys.exit(f"the service did not start:\n{log.read_text(errors='replace')}")


def listen(token, url):
    """The status and the text of an answer, or of a refusal."""
    request = urllib.request.Request(
        f"http://{INSIDE}:{SERVICE_PORT}/v1/listen",
        data=json.dumps({"url": url}).encode(),
        headers={"authorization": f"Token {token}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = json.load(answer)
            return 200, body["results"]["channels"][0]["alternatives"][0]["transcript"]
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def main(folder):
    own_network(folder)
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind((INSIDE, 53))
    threading.Thread(target=answer_names, args=(names,), daemon=True).start()
    serve((PUBLIC, 80), Files)
    serve((INSIDE, PROVIDER_PORT), Provider)
    canary = Canary()
    service, token = start_service(folder)
    try:
        for name in ("steady.test", "rebinds.test"):
            told = listen(token, f"http://{name}/a.wav")
            check(f"{name} is fetched", told == (200, TEXT), told)
            check(f"{name} is looked up once", asked[name] == 1, asked)
        for url in (
            "http://rebinds.test/a.wav",
            "http://both.test/a.wav",
            "http://inside.test/a.wav",
            "http://steady.test/way-inside",
        ):
            status, told = listen(token, url)
            check(f"{url} is refused", status == 400, (status, told))
        check("nobody came inside", canary.count == 0, canary.count)
        socket.create_connection((INSIDE, 80)).close()
        time.sleep(0.5)
        check("the canary counts", canary.count == 1, canary.count)
    finally:
        service.terminate()
        service.wait(60)


with tempfile.TemporaryDirectory() as scratch:
    main(scratch)
sys.exit(failed)
