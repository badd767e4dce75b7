/** The Socket.IO connection: one token, one namespace, reconnecting on its own terms. */

import { CAP_MS, URGENT_CAP_MS, fullJitterMs } from './backoff.js';
import { Liveness } from './liveness.js';
import { io } from './vendor/socket.io.esm.min.js';

/** All that a refused client is told. */
const REJECTED = 'Connection rejected by server';
const EVENTS = ['token_expiring', 'session_started', 'transcription', 'audio_ack', 'streaming_stopped', 'error'];
/** Said before a close. Not `disconnecting`: that name is reserved, and the official client takes it for a parse error. */
const FAREWELL = 'closing';
/** Closes that another token mends, and nothing else. */
const TOKEN_ENDS = ['token_expired', 'credential_revoked'];
/** What may be said to a token that is to take the place of another. */
const RENEWAL_ERRORS = ['unauthenticated', 'principal_mismatch', 'rate_limited', 'timeout', 'database_unavailable', 'dependency_unavailable'];
const CONNECT_DEADLINE_MS = 10_000;
const STABLE_MS = 5_000;
const CONGESTED_PACKETS = 24;
const ACK_EVERY = 5;
/** A replica that drains or starts may refuse a token that was good a moment ago. */
const REFUSALS_BORNE = 3;

/** Dispatches `state`, `authenticated`, `renewal_refused`, and every event of the service as a CustomEvent of the same name. */
export class Connection extends EventTarget {
  /** @type {import('./protocol.js').ConnectionState} */
  state = 'closed';
  /** Someone is speaking: waits are shorter. */
  urgent = false;
  #refusalsLeft = 0;
  #liveness = new Liveness();
  /** @type {import('./vendor/socket.io.esm.min.js').Socket | null} */
  #socket = null;
  /** @type {import('./protocol.js').Closing | null} */
  #farewell = null;
  /** The token that is being looked at in place of the present one. */
  #renewal = '';
  #attempt = 0;
  #connectedAtMs = 0;
  #timer = 0;
  #watch = 0;

  /** @param {string} token @param {string} lang */
  open(token, lang) {
    this.close();
    const socket = io('/audio-stream', {
      transports: ['websocket'], auth: { token }, query: { lang }, timeout: CONNECT_DEADLINE_MS,
      reconnection: false, forceNew: true, autoConnect: false,
    });
    this.#socket = socket;
    this.#attempt = 0;
    this.#refusalsLeft = 0;
    socket.on('connect', () => this.#connected(socket));
    socket.on('connect_error', (/** @type {Error} */ error) => this.#refused(error));
    socket.on('disconnect', (/** @type {string} */ reason) => this.#lost(reason));
    socket.on(FAREWELL, (/** @type {any} */ farewell) => (this.#farewell = farewell ?? null));
    for (const name of EVENTS) socket.on(name, (/** @type {any} */ detail) => this.#heard(name, detail));
    socket.on('authenticated', () => this.#renewed(socket));
    this.retry();
  }

  /** Connects now instead of at the end of the wait. */
  retry() {
    if (!this.#socket || this.#socket.connected) return;
    clearTimeout(this.#timer);
    this.#farewell = null;
    this.#enter({ state: 'connecting' });
    this.#timer = window.setTimeout(() => this.#abandon(), CONNECT_DEADLINE_MS);
    this.#socket.connect();
  }

  /** Gives another token of the same user, beside whatever runs. @param {string} token */
  renew(token) {
    this.#renewal = token;
    this.emit('authenticate', { token });
  }

  close() {
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.#socket?.off();
    this.#socket?.disconnect();
    this.#socket = null;
    this.state = 'closed';
  }

  /** @param {string} name @param {unknown} [payload] */
  emit(name, payload) {
    if (payload === undefined) this.#socket?.emit(name);
    else this.#socket?.emit(name, payload);
  }

  /** @param {number} seq @param {Int16Array} pcm */
  sendAudio(seq, pcm) {
    const chunk = { audio_chunk: pcm.buffer, seq };
    this.#liveness.sent(performance.now());
    if (seq % ACK_EVERY !== 1) this.#socket?.emit('audio_chunk', chunk);
    else this.#socket?.emit('audio_chunk', chunk, () => this.#liveness.acknowledged());
  }

  /** The network takes less than it is given: better to keep audio here than in its queue. */
  get congested() {
    return (this.#socket?.io.engine?.writeBuffer.length ?? 0) > CONGESTED_PACKETS;
  }

  /** @param {import('./vendor/socket.io.esm.min.js').Socket} socket */
  #connected(socket) {
    clearTimeout(this.#timer);
    this.#refusalsLeft = REFUSALS_BORNE;
    this.#renewal = '';
    this.#connectedAtMs = performance.now();
    this.#liveness.open(this.#connectedAtMs);
    socket.io.engine.on('packet', () => this.#liveness.heard(performance.now()));
    clearInterval(this.#watch);
    this.#watch = window.setInterval(() => {
      if (this.#liveness.isDead(performance.now())) this.#abandon();
    }, 1_000);
    this.#enter({ state: 'connected' });
  }

  /** @param {Error} error */
  #refused(error) {
    if (error.message !== REJECTED) return this.#wait();
    clearTimeout(this.#timer);
    this.#socket?.disconnect();
    this.#refusalsLeft -= 1;
    if (this.#refusalsLeft >= 0) return this.#wait();
    this.#enter({ state: 'rejected' });
  }

  /** @param {string} reason */
  #lost(reason) {
    clearInterval(this.#watch);
    if (reason === 'io client disconnect') return;
    if (performance.now() - this.#connectedAtMs > STABLE_MS) this.#attempt = 0;
    const ended = this.#farewell?.reason;
    if (ended && TOKEN_ENDS.includes(ended)) return this.#enter({ state: 'rejected', reason: ended });
    const final = this.#farewell ? !this.#farewell.reconnect : reason === 'io server disconnect';
    if (final) this.#enter({ state: 'closed', reason: this.#farewell?.reason });
    else this.#wait();
  }

  /** @param {import('./vendor/socket.io.esm.min.js').Socket} socket */
  #renewed(socket) {
    socket.auth = { token: this.#renewal };
    this.#renewal = '';
    this.#tell('authenticated', null);
  }

  /** What is said of a token is not said of the session. @param {string} name @param {any} detail */
  #heard(name, detail) {
    const refused = name === 'error' && this.#renewal && RENEWAL_ERRORS.includes(detail?.code);
    if (refused) this.#renewal = '';
    this.#tell(refused ? 'renewal_refused' : name, detail);
  }

  #wait() {
    clearTimeout(this.#timer);
    const retryInMs = (this.#farewell?.reconnect_after_ms ?? 0) + fullJitterMs(this.#attempt, this.urgent ? URGENT_CAP_MS : CAP_MS);
    this.#attempt += 1;
    this.#timer = window.setTimeout(() => this.retry(), retryInMs);
    this.#enter({ state: 'waiting', retryInMs, reason: this.#farewell?.reason });
  }

  /** Gives up a transport that no longer answers. */
  #abandon() {
    this.#socket?.disconnect();
    this.#wait();
  }

  /** @param {import('./protocol.js').StateChange} change */
  #enter(change) {
    this.state = change.state;
    this.#tell('state', change);
  }

  /** @param {string} name @param {unknown} detail */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
