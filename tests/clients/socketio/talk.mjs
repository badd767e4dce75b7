// A stock client that speaks numbered audio in real time until its standard input ends, and takes its
// session up again after any loss. Prints a JSON object a line: what it hears, and what it sent.
// Usage: node talk.mjs URL TOKEN TRANSPORT TENANT SESSION; the transport is default, polling or websocket.
import { setTimeout as delay } from "node:timers/promises";
import { io } from "socket.io-client";

const CHUNK_MS = 100;
const FRAMES = 5;
const FRAME_BYTES = 640;
const LONGEST_END_MS = 60_000;

const [url, token, transport, tenant, session] = process.argv.slice(2);
const tell = (event, payload = {}) => console.log(JSON.stringify({ ...payload, type: event }));

/** A chunk whose frames say who they are: the layout is that of tests/testkit/src/numbered.rs. */
function chunk(number) {
  const bytes = Buffer.alloc(FRAMES * FRAME_BYTES);
  for (let frame = 0; frame < FRAMES; frame += 1) {
    const [at, count] = [frame * FRAME_BYTES, number * FRAMES + frame];
    Buffer.from([0x7f, 0x4e, 0x55, 0x4d, 0x42, 0x52, 0x81, 0x80]).copy(bytes, at);
    bytes.writeUInt16LE(Number(tenant), at + 8);
    bytes.writeUInt16LE(Number(session), at + 10);
    bytes.writeUInt32LE(count, at + 12);
    const mixed = (Number(tenant) << 16) | Number(session);
    const rotated = (count << 7) | (count >>> 25);
    bytes.writeUInt32LE(Math.imul(mixed ^ rotated, 0x9e3779b1) >>> 0, at + 16);
  }
  return bytes;
}

let [ticket, running, next, spoken, lastN, ending] = [null, false, 0, 0, 0, false];
const socket = io(`${url}/audio-stream`, {
  auth: { token },
  reconnectionDelay: 100,
  reconnectionDelayMax: 1_000,
  ...(transport !== "default" && { transports: [transport] }),
});

function ask() {
  running = false;
  if (ticket) socket.emit("resume", { ...ticket, next_seq: spoken, last_n: lastN });
  else socket.emit("start_streaming", {});
}

/** Whatever is spoken and not sent yet. A chunk that is lost on its way is asked for by a resume. */
function flush() {
  while (running && socket.connected && next < spoken) {
    socket.emit("audio_chunk", { audio_chunk: chunk(next), seq: next });
    next += 1;
    tell("sent", { chunks: next });
  }
}

socket.on("connect", () => {
  tell("dials", { transport: socket.io.engine.transport.name });
  ask();
});
socket.on("disconnect", (reason) => {
  running = false;
  tell("lost", { reason, transport: socket.io.engine?.transport?.name ?? null });
  // A stock client stays away when the server closes its namespace.
  if (reason === "io server disconnect") socket.connect();
});
socket.on("connect_error", (error) => tell("lost", { reason: error.message }));
socket.onAny((event, payload) => {
  const told = payload ?? {};
  tell(event, told);
  if (told.n && (event !== "transcription" || told.is_final)) lastN = Math.max(lastN, told.n);
  if (event === "session_started" || event === "session_resumed") {
    ticket = { session_id: told.session_id, resume_token: told.resume_token };
    next = told.next_seq ?? 0;
    lastN = told.last_n ?? 0;
    running = true;
    flush();
  } else if (event === "error" && !running) {
    setTimeout(() => socket.connected && !running && ask(), told.retry_after_ms ?? 500);
  } else if (event === "streaming_stopped") {
    running = false;
    if (ending) finish();
    // The replica goes away: the next one goes on.
    else socket.disconnect().connect();
  }
});

function finish() {
  tell("over", { chunks: spoken });
  // A pipe takes what is written before the process ends.
  process.stdout.write("", () => process.exit(0));
}

process.stdin.on("end", () => (ending = true)).resume();
const began = performance.now();
while (!ending) {
  await delay(Math.max(0, began + (spoken + 1) * CHUNK_MS - performance.now()));
  spoken += 1;
  flush();
}
setTimeout(() => process.exit(1), LONGEST_END_MS);
let asked = null;
while (true) {
  // On each connection anew, and only once everything is sent there.
  if (running && next === spoken && asked !== socket.id) {
    asked = socket.id;
    socket.emit("stop_streaming", {});
  }
  await delay(20);
}
