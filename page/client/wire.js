/** One socket to the service: opened, greeted, watched for silence, and left. */

import { Refusal } from './door.js';
import { Alarm } from './time.js';

/** The service says something every 2 s while audio flows. */
const SILENCE_MS = 5_000;
const SENDING_MS = 1_500;
const LOOK_MS = 1_000;
const CONNECT_DEADLINE_MS = 10_000;
const CONGESTED_BYTES = 65_536;
/** Close codes of the service, and the first of those that do not ask to come back. */
const [OURS, FINAL, BEYOND] = [4000, 4500, 5000];

/**
 * @typedef {object} End why a socket is no more; empty when it was lost
 * @property {import('../protocol.js').Closing} [farewell] what the service said before it closed
 * @property {import('../protocol.js').ServiceError} [error] why it was not opened
 */
/**
 * @typedef {object} Hooks
 * @property {() => void} greeted it is open, and the service knows who we are
 * @property {(message: any) => void} heard
 * @property {(end: End) => void} ended called once, unless it was left
 */

export class Wire {
  greeted = false;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {import('../protocol.js').Closing | undefined} */
  #farewell;
  #over = false;
  #heardAtMs = 0;
  #sentAtMs = -Infinity;
  #opening = new AbortController();
  #alarm;

  /** @param {import('./time.js').Clock} clock @param {Hooks} hooks */
  constructor(clock, hooks) {
    this.clock = clock;
    this.hooks = hooks;
    this.#alarm = new Alarm(clock);
  }

  /** @param {import('./door.js').Door} door @param {() => Promise<string>} token @param {string | undefined} lang */
  async open(door, token, lang) {
    this.#alarm.set(CONNECT_DEADLINE_MS, () => this.drop());
    try {
      const socket = await door.open(await token(), lang, this.#opening.signal);
      if (this.#over) socket.close();
      else this.#attach(socket);
    } catch (error) {
      this.#end(error instanceof Refusal ? { error: error.error } : {});
    }
  }

  /** @param {object} message with its `type` */
  send(message) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  sendAudio(bytes) {
    if (this.#socket?.readyState !== 1) return;
    const nowMs = this.clock.nowMs();
    // Before audio flowed there was nothing to say.
    if (nowMs - this.#sentAtMs > SENDING_MS) this.#heardAtMs = nowMs;
    this.#sentAtMs = nowMs;
    this.#socket.send(bytes);
  }

  /** The network takes less than it is given: better to keep audio in the backlog than in its queue. */
  get congested() {
    return (this.#socket?.bufferedAmount ?? 0) > CONGESTED_BYTES;
  }

  /** Goes without a word to the hooks. */
  leave() {
    this.#over = true;
    this.#alarm.clear();
    this.#opening.abort();
    this.#socket?.close();
  }

  /** Takes it for lost. */
  drop() {
    this.#end({ farewell: this.#farewell });
  }

  /** @param {WebSocket} socket */
  #attach(socket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => this.#hear(data));
    // A close follows; but libraries outside browsers throw what nobody listens to.
    socket.addEventListener('error', () => {});
    socket.addEventListener('close', ({ code, reason }) => {
      const said = code >= OURS && code < BEYOND ? { code, reason, reconnect: code < FINAL } : undefined;
      this.#end({ farewell: this.#farewell ?? said });
    });
  }

  /** @param {unknown} data */
  #hear(data) {
    if (this.#over) return;
    this.#heardAtMs = this.clock.nowMs();
    const message = parsed(data);
    if (message?.type === 'closing') this.#farewell = message;
    if (message?.type === 'connected' && !this.greeted) this.#greet();
    else if (message) this.hooks.heard(message);
  }

  #greet() {
    this.greeted = true;
    this.#look();
    this.hooks.greeted();
  }

  /** Audio is flowing out and nothing has come back for too long. */
  #look() {
    const nowMs = this.clock.nowMs();
    const sending = nowMs - this.#sentAtMs < SENDING_MS || this.congested;
    if (sending && nowMs - this.#heardAtMs > SILENCE_MS) this.drop();
    else this.#alarm.set(LOOK_MS, () => this.#look());
  }

  /** @param {End} end */
  #end(end) {
    if (this.#over) return;
    this.leave();
    this.hooks.ended(end);
  }
}

/** @param {unknown} data */
function parsed(data) {
  try {
    const message = JSON.parse(String(data));
    return message !== null && typeof message === 'object' ? message : null;
  } catch {
    return null;
  }
}
