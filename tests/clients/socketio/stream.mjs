// Streams a WAV file through the official Socket.IO client of npm and prints what it saw as JSON.
// The options and the printed object are those of stream.py: see README.md.
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { io } from "socket.io-client";

const CHUNK_MS = 100;
const CONNECT_DEADLINE_MS = 10_000;
const STOP_DEADLINE_MS = 30_000;

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    token: { type: "string", default: "" },
    wav: { type: "string" },
    encoding: { type: "string", default: "base64" },
    transport: { type: "string", default: "websocket" },
    lang: { type: "string", default: "en" },
    "realtime-factor": { type: "string", default: "1.0" },
  },
});

/** The samples of a 16 kHz mono 16-bit WAV file, cut in chunks. */
function readChunks(path) {
  const file = readFileSync(path);
  if (file.toString("latin1", 0, 4) !== "RIFF") throw new Error(`${path}: not a WAV file`);
  const parts = {};
  for (let at = 12; at + 8 <= file.length; at += 8 + parts.size + (parts.size & 1)) {
    parts.size = file.readUInt32LE(at + 4);
    parts[file.toString("latin1", at, at + 4)] = file.subarray(at + 8, at + 8 + parts.size);
  }
  const format = parts["fmt "];
  const form = [format.readUInt16LE(2), format.readUInt32LE(4), format.readUInt16LE(14)].join();
  if (form !== "1,16000,16") throw new Error(`${path}: wants mono, 16000 Hz, 16 bits; has ${form}`);
  const chunkBytes = (16_000 * 2 * CHUNK_MS) / 1000;
  const chunks = [];
  for (let at = 0; at < parts.data.length; at += chunkBytes) {
    chunks.push(parts.data.subarray(at, at + chunkBytes));
  }
  return chunks;
}

const FORMS = {
  base64: (chunk) => ["audio_chunk", { audio_chunk: chunk.toString("base64") }],
  binary: (chunk) => ["audio_chunk", { audio_chunk: chunk }],
  alias: (chunk) => ["audio_data", chunk.toString("base64")],
};

const began = performance.now();
const now = () => Math.round(performance.now() - began);
const seen = {
  client: "socket.io-client",
  outcome: "timeout",
  transport: null,
  chunks_sent: 0,
  audio_started_ms: null,
  stop_sent_ms: null,
  acks: { expected: 0, received: 0, with_arguments: 0 },
  connect_errors: [],
  disconnects: [],
  events: [],
};

function connect() {
  const transports = options.transport === "default" ? undefined : [options.transport];
  const socket = io(`${options.url}/audio-stream`, {
    auth: { token: options.token },
    query: { lang: options.lang },
    reconnection: false,
    ...(transports && { transports }),
  });
  socket.onAny((name, payload) => seen.events.push({ name, payload: payload ?? null, t_ms: now() }));
  socket.on("connect_error", (error) =>
    seen.connect_errors.push({ message: error.message, data: error.data ?? null, t_ms: now() }));
  socket.on("disconnect", (reason) => seen.disconnects.push({ reason, t_ms: now() }));
  return socket;
}

/** Resolves with the first of the named events, or "timeout". */
function firstOf(socket, names, deadlineMs) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve("timeout"), deadlineMs);
    for (const name of names) {
      socket.once(name, () => {
        clearTimeout(timer);
        resolve(name);
      });
    }
  });
}

/** Chunk k is due at the start plus k chunk lengths, whatever the earlier ones did. */
async function stream(socket, chunks) {
  const factor = Number(options["realtime-factor"]);
  const start = performance.now();
  seen.audio_started_ms = now();
  for (const [k, chunk] of chunks.entries()) {
    const dueMs = factor > 0 ? start + (k * CHUNK_MS) / factor : 0;
    await delay(Math.max(0, dueMs - performance.now()));
    if (!socket.connected) return;
    const [name, payload] = FORMS[options.encoding](chunk);
    seen.acks.expected += 1;
    socket.emit(name, payload, (...args) => {
      seen.acks.received += 1;
      if (args.length > 0) seen.acks.with_arguments += 1;
    });
    seen.chunks_sent += 1;
  }
}

async function run() {
  const chunks = readChunks(options.wav);
  const socket = connect();
  const greeted = await firstOf(socket, ["connected", "connect_error"], CONNECT_DEADLINE_MS);
  seen.transport = socket.io.engine?.transport?.name ?? null;
  if (greeted === "connected") {
    if (!socket.connected) await firstOf(socket, ["connect"], CONNECT_DEADLINE_MS);
    await stream(socket, chunks);
    seen.transport = socket.io.engine?.transport?.name ?? seen.transport;
    const stopped = firstOf(socket, ["streaming_stopped", "disconnect"], STOP_DEADLINE_MS);
    seen.stop_sent_ms = now();
    socket.emit("stop_streaming");
    const end = socket.connected ? await stopped : "disconnect";
    seen.outcome = { streaming_stopped: "stopped", disconnect: "disconnected" }[end] ?? "timeout";
  } else if (greeted === "connect_error") {
    seen.outcome = "rejected";
  }
  socket.disconnect();
}

if (!options.url || !options.wav || !(options.encoding in FORMS)) {
  console.error("usage: stream.mjs --url URL --token TOKEN --wav FILE [--encoding base64|binary|alias]");
  process.exit(2);
}
await run();
console.log(JSON.stringify(seen));
process.exit(seen.outcome === "stopped" ? 0 : 1);
