/** A session with the service: asked for, asked for again when the service is busy, and begun anew after a lost connection. */

import { fullJitterMs } from './backoff.js';

const START_DEADLINE_MS = 10_000;
const START_ATTEMPTS = 6;
/** The first wait after a refusal is longer than after a lost connection. */
const FIRST_WAIT_STEP = 2;

/** Dispatches `started`, `words`, `settled`, `problem`, `failed`, `refused`, `lost` and `ended`. */
export class Session extends EventTarget {
  /** Whether the service takes audio just now. */
  running = false;
  #seq = 0;
  #attempts = 0;
  #timer = 0;
  #listening = new AbortController();

  /**
   * @param {import('./connection.js').Connection} connection
   * @param {import('./protocol.js').StreamOptions} options
   */
  constructor(connection, options) {
    super();
    this.connection = connection;
    this.options = options;
  }

  /** Begins as soon as there is a connection, and after each loss of it, until `close`. */
  open() {
    const { signal } = this.#listening;
    /** @type {[string, (detail: any) => void][]} */
    const handlers = [
      ['state', ({ state }) => this.#connectionChanged(state)],
      ['session_started', (started) => this.#started(started)],
      ['transcription', (words) => this.running && this.#tell('words', words)],
      ['audio_ack', ({ acked_ms: untilMs }) => this.running && untilMs !== undefined && this.#tell('settled', { untilMs })],
      ['streaming_stopped', () => this.#tell('ended')],
      ['error', (error) => this.#failed(error)],
    ];
    for (const [name, handle] of handlers) {
      this.connection.addEventListener(name, (/** @type {any} */ event) => handle(event.detail ?? {}), { signal });
    }
    this.#begin();
  }

  /** @param {Int16Array} pcm */
  send(pcm) {
    this.#seq += 1;
    this.connection.sendAudio(this.#seq, pcm);
  }

  /** Asks for the last words; `ended` follows them. */
  stop() {
    this.connection.emit('stop_streaming');
  }

  /** Listens no longer. */
  close() {
    clearTimeout(this.#timer);
    this.#listening.abort();
    this.running = false;
  }

  #begin() {
    if (this.connection.state !== 'connected' || this.running) return;
    clearTimeout(this.#timer);
    const late = { message: 'the service did not start a session in time', code: 'timeout', retryable: true };
    this.#timer = window.setTimeout(() => this.#failed(late), START_DEADLINE_MS);
    this.connection.emit('start_streaming', this.options);
  }

  /** @param {import('./protocol.js').SessionStarted} started */
  #started(started) {
    clearTimeout(this.#timer);
    this.#attempts = 0;
    this.#seq = 0;
    this.running = true;
    this.#tell('started', started);
  }

  /** @param {import('./protocol.js').ConnectionState} state */
  #connectionChanged(state) {
    clearTimeout(this.#timer);
    this.running = false;
    if (state === 'connected') this.#begin();
    else this.#tell(state === 'rejected' || state === 'closed' ? 'refused' : 'lost');
  }

  /** @param {import('./protocol.js').ServiceError} error */
  #failed(error) {
    clearTimeout(this.#timer);
    const again = !this.running && error.retryable === true && this.#attempts < START_ATTEMPTS;
    const retryInMs = again ? fullJitterMs(this.#attempts + FIRST_WAIT_STEP) : undefined;
    this.#tell('problem', { error, retryInMs });
    if (again) {
      this.#attempts += 1;
      this.#timer = window.setTimeout(() => this.#begin(), retryInMs);
    } else if (!this.running) this.#tell('refused');
    else if (error.retryable === false) this.#tell('failed');
  }

  /** @param {string} name @param {unknown} [detail] */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
