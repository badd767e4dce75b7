/** A service that does what a test tells it, on a real port: tickets, sockets, and what was said on them. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { Transcriber } from '../../../page/client/transcriber.js';
import { WebSocketServer } from 'ws';

const DEADLINE_MS = 10_000;
const CHUNK_SAMPLES = 1_600;

/** @template T @param {() => T | Promise<T>} look @param {string} what @returns {Promise<NonNullable<T>>} */
export async function until(look, what) {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** 100 ms of audio that says its own number. @param {number} mark */
export const chunk = (mark) => new Int16Array(CHUNK_SAMPLES).fill(mark);

/** One socket, as the service sees it. */
export class Caller {
  /** @type {any[]} messages that were not looked at */
  #inbox = [];
  /** Numbers of the chunks that came. @type {number[]} */
  heard = [];
  /** Samples of each. @type {number[]} */
  lengths = [];
  closed = false;

  constructor(socket) {
    this.socket = socket;
    socket.on('close', () => (this.closed = true));
    socket.on('message', (data, binary) => {
      if (!binary) return this.#inbox.push(JSON.parse(String(data)));
      this.heard.push(data.readInt16LE(0));
      this.lengths.push(data.length / 2);
    });
    this.say('connected', { user_id: 'u1' });
  }

  /** @param {string} type @param {object} [payload] */
  say(type, payload = {}) {
    this.socket.send(JSON.stringify({ type, ...payload }));
  }

  /** The next message of that type; others before it are an error. @param {string} type */
  async next(type) {
    const message = await until(() => this.#inbox.shift(), type);
    if (message.type !== type) throw new Error(`${message.type} came instead of ${type}`);
    return message;
  }

  /** Answers the start of a session. @param {string} id @param {object} [more] */
  async begin(id, more = { resume_token: `token of ${id}` }) {
    const options = await this.next('start_streaming');
    this.say('session_started', { session_id: id, provider: 'local', language: 'en', room: id, resume_within_ms: 120_000, ...more });
    return options;
  }

  /** @param {string} id @param {number} n @param {string} transcript @param {object} [more] */
  final(id, n, transcript, more = {}) {
    this.say('transcription', { session_id: id, n, transcript, is_final: true, confidence: 1, start_ms: (n - 1) * 100, end_ms: n * 100, ...more });
  }

  /** @param {string} id @param {number} seq */
  ack(id, seq) {
    this.say('audio_ack', { session_id: id, acked_seq: seq, acked_ms: (seq + 1) * 100 });
  }

  /** Ends it as a broken network does. */
  cut() {
    this.socket.terminate();
  }

  /** @param {number} count */
  hears = (count) => until(() => this.heard.length >= count, `${count} chunks`);
  gone = () => until(() => this.closed, 'the end of the socket');
}

export class Scripted {
  /** @type {Caller[]} sockets that were not looked at */
  #callers = [];
  /** @type {{status: number, body: object, headers?: object}[]} answers to the next tickets */
  refusals = [];
  /** @type {string[]} credentials that tickets were asked with */
  asked = [];

  static async start() {
    const server = new Scripted();
    server.http = createServer((request, response) => server.#ticket(request, response));
    const sockets = new WebSocketServer({ server: server.http, path: '/audio-stream', handleProtocols: ([first]) => first });
    sockets.on('connection', (socket, request) => {
      const caller = new Caller(socket);
      caller.protocols = request.headers['sec-websocket-protocol'];
      server.#callers.push(caller);
    });
    server.http.listen(0, '127.0.0.1');
    await once(server.http, 'listening');
    server.sockets = sockets;
    server.url = `http://127.0.0.1:${server.http.address().port}`;
    return server;
  }

  #ticket(request, response) {
    this.asked.push(String(request.headers.authorization));
    const { status, body, headers } = this.refusals.shift() ?? { status: 201, body: { ticket: `t${this.asked.length}`, expires_in: 30 } };
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  }

  /** The next socket. */
  caller = () => until(() => this.#callers.shift(), 'a socket');
  get waiting() {
    return this.#callers.length;
  }

  stop() {
    for (const socket of this.sockets.clients) socket.terminate();
    this.http.closeAllConnections();
    this.http.close();
  }
}

/**
 * A client of a scripted service, which both end with the test.
 * @param {import('node:test').TestContext} t
 * @param {object} [options]
 */
export async function pair(t, options = {}) {
  const server = await Scripted.start();
  const client = new Transcriber({ url: server.url, token: 'secret', random: () => 0, ...options });
  t.after(() => {
    client.close();
    server.stop();
  });
  return { server, client };
}

/** What a stream says, in order, in short. @param {EventTarget} stream */
export function listen(stream) {
  const said = [];
  const note = (name, write) => stream.addEventListener(name, ({ detail }) => said.push(write(detail)));
  note('session', (it) => `session ${it.session_id} at ${it.base_ms}${it.restarted ? ` after ${it.restarted}` : ''}`);
  note('transcription', (it) => `${it.is_final ? 'final' : 'interim'} ${it.n} ${it.transcript}`);
  note('void', (it) => `void after ${it.after_n}`);
  note('gap', (it) => `gap ${it.from_ms}-${it.to_ms} ${it.reason}`);
  note('missing', (it) => `missing ${it.from_n}-${it.to_n}`);
  note('resumed', (it) => `resumed at ${it.next_seq}`);
  note('problem', ({ error }) => `problem ${error.code}`);
  note('ended', (it) => `ended ${it.outcome}`);
  return said;
}

/** Time that stands still until it is told to go on. */
export class Hands {
  #nowMs = 0;
  #timers = new Set();
  nowMs = () => this.#nowMs;

  after = (ms, act) => {
    const timer = { atMs: this.#nowMs + ms, act };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  /** @param {number} ms */
  advance(ms) {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#timers].filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (!due) break;
      this.#timers.delete(due);
      this.#nowMs = due.atMs;
      due.act();
    }
    this.#nowMs = untilMs;
  }
}
