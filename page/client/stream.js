/** What one speaker says from start to stop: one session as long as it can be resumed, whatever sockets it takes. */

import { Backlog, shapeOf } from './backlog.js';
import { fullJitterMs } from './backoff.js';
import { Finals } from './finals.js';
import { Migration } from './migration.js';
import { Outlet } from './outlet.js';
import { Alarm } from './time.js';
import { Told } from './told.js';

const ANSWER_MS = 10_000;
const START_ATTEMPTS = 6;
/** The first wait after a refusal is longer than after a lost connection. */
const FIRST_WAIT_STEP = 2;
export const STOP_MS = 45_000;
/** Longer than a session waits for its client, in seconds; and a fair share of a tab's memory. */
export const BOUNDS = { seconds: 120, bytes: 8 * 1024 * 1024 };
/** Where the service does not say how long a session waits. */
const RESUME_MS = 120_000;
const NO_ANSWER = { message: 'the service did not answer in time', code: 'timeout', retryable: true };

/**
 * @typedef {object} Held the session that runs, or can be resumed
 * @property {string} id
 * @property {string | undefined} token without one it cannot be resumed
 * @property {boolean} spoken audio was sent: before that there is nothing to go on with
 * @property {number} withinMs how long it can be resumed after a loss
 * @property {number} base index of the chunk that is number 0 there
 * @property {number} baseMs stream time at which it began
 */
/** @typedef {import('./transcriber.js').StreamEnd} StreamEnd */

/** @extends {Told<import('./transcriber.js').StreamEvents>} */
export class Stream extends Told {
  /** @type {'waiting' | 'starting' | 'resuming' | 'live' | 'ended'} */
  phase = 'waiting';
  /** @type {Held | null} */
  #held = null;
  #finals = new Finals();
  #stopping = false;
  #stopSent = false;
  /** The session is over already: only the notice of that is to come. */
  #over = false;
  #refusals = 0;
  #lostAtMs = 0;
  /** Why another session has to be begun. @type {string | null} */
  #broken = null;
  #listening = new AbortController();
  /** @type {(end: StreamEnd) => void} */
  #resolve = () => {};
  /** @type {Promise<StreamEnd>} */
  ended = new Promise((resolve) => (this.#resolve = resolve));

  /** @param {import('./link.js').Link} link @param {import('../protocol.js').StreamOptions} options @param {import('./backlog.js').Bounds} bounds */
  constructor(link, options, bounds) {
    super();
    this.link = link;
    this.options = options;
    this.backlog = new Backlog(shapeOf({ ...options }), bounds, link.clock);
    this.outlet = new Outlet(this.backlog, link.clock, (chunk) => this.#sent(chunk), () => this.#drained());
    this.migration = new Migration(link, {
      hold: () => this.outlet.close(),
      release: () => this.phase === 'live' && link.wire && this.outlet.open(link.wire),
      question: () => this.#question(),
      taken: (resumed) => this.#resumed(resumed),
    });
    this.answer = new Alarm(link.clock);
    this.patience = new Alarm(link.clock);
    link.urgent = true;
    const { signal } = this.#listening;
    link.addEventListener('wire', () => this.#begin(), { signal });
    link.addEventListener('state', ({ detail }) => this.#linkChanged(detail), { signal });
    link.addEventListener('message', ({ detail }) => this.#heard(detail), { signal });
    // Those who start a stream have yet to listen to it.
    queueMicrotask(() => this.#begin());
  }

  /** Whether the service takes its audio just now. */
  get live() {
    return this.phase === 'live';
  }

  /** The next audio, in order; it is copied. @param {ArrayBuffer | ArrayBufferView<ArrayBuffer>} audio */
  send(audio) {
    if (this.phase === 'ended' || this.#stopping) return;
    const view = ArrayBuffer.isView(audio) ? audio : new Uint8Array(audio);
    this.backlog.push(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
    if (this.backlog.skipped && this.phase === 'live') this.link.drop();
    else this.outlet.push();
  }

  /** Ends it once everything is said, or after so long. @param {{withinMs?: number}} [limits] @returns {Promise<StreamEnd>} */
  stop({ withinMs = STOP_MS } = {}) {
    if (this.#stopping) return this.ended;
    this.#stopping = true;
    this.patience.set(withinMs, () => this.#end({ outcome: 'timeout' }));
    this.#drained();
    return this.ended;
  }

  /** Ends it now: words that have not come are not waited for. */
  close() {
    this.#end({ outcome: 'closed' });
  }

  #begin() {
    if (!this.link.ready || this.phase !== 'waiting') return;
    this.answer.set(ANSWER_MS, () => this.#late());
    this.#stopSent = false;
    if (this.#held?.token && this.#held.spoken) {
      this.phase = 'resuming';
      this.link.wire?.send(this.#question());
    } else if (this.#held?.spoken && !this.backlog.shape) {
      this.#end({ outcome: 'failed', error: { message: 'only raw audio can be gone on with', code: 'conflict', retryable: false } });
    } else if (this.#stopping && this.backlog.settled) {
      this.#end({ outcome: 'finished' });
    } else {
      this.phase = 'starting';
      this.link.wire?.send({ type: 'start_streaming', ...this.options });
    }
  }

  #late() {
    this.tell('problem', { error: NO_ANSWER });
    this.link.drop();
  }

  #question() {
    const { base, baseMs, id, token } = /** @type {Held} */ (this.#held);
    const { end, first, startMs, overflowed } = this.backlog;
    const oldest = overflowed ? { first_seq: first - base, first_ms: Math.round(startMs - baseMs) } : {};
    return { type: 'resume', session_id: id, resume_token: token, next_seq: end - base, last_n: this.#finals.last(id), ...oldest };
  }

  /** @param {import('../protocol.js').StateChange} change */
  #linkChanged({ state, reason, error }) {
    if (state === 'connected') return;
    if (this.phase === 'live') this.#lostAtMs = this.link.clock.nowMs();
    this.outlet.close();
    this.answer.clear();
    this.migration.cancel();
    this.phase = 'waiting';
    if (reason === 'replaced') this.#end({ outcome: 'replaced' });
    else if (state === 'closed' || state === 'rejected') this.#end({ outcome: 'refused', error: error ?? { message: reason ?? state, code: reason } });
  }

  /** @param {any} message */
  #heard(message) {
    if (this.phase === 'starting' && message.type === 'session_started') return this.#started(message);
    if (this.phase === 'resuming' && message.type === 'session_resumed') return this.#resumed(message);
    if (message.type === 'error') return this.#failed(message);
    if (this.phase !== 'live' || message.session_id !== this.#held?.id) return;
    this.#refusals = 0;
    if (message.type === 'transcription') this.#words(message);
    else if (message.type === 'gap') this.#numbered(message);
    else if (message.type === 'audio_ack') this.#acked(message);
    else if (message.type === 'migrate') this.#held?.token && this.migration.begin(message);
    else if (message.type === 'streaming_stopped') this.#stopped(message);
    else this.tell(message.type, this.#placed(message));
  }

  /** @param {import('../protocol.js').SessionStarted} started */
  #started(started) {
    const lostMs = this.backlog.restart();
    const baseMs = this.backlog.startMs;
    const previous = this.#held;
    this.#held = { id: started.session_id, token: started.resume_token, spoken: false, withinMs: started.resume_within_ms ?? RESUME_MS, base: this.backlog.first, baseMs };
    this.tell('session', { ...started, base_ms: baseMs, restarted: previous ? (this.#broken ?? 'lost') : null });
    if (lostMs > 0) this.tell('gap', { session_id: started.session_id, from_ms: baseMs - lostMs, to_ms: baseMs, reason: 'client_buffer', base_ms: 0 });
    this.#broken = null;
    this.#over = false;
    this.#live();
  }

  /** @param {import('../protocol.js').SessionResumed} resumed */
  #resumed(resumed) {
    const held = /** @type {Held} */ (this.#held);
    if (resumed.session_id !== held.id) return;
    if (!this.backlog.rewind(held.base + resumed.next_seq)) return this.#outOfStep();
    held.token = resumed.resume_token ?? held.token;
    if (this.#finals.voidAfter(held.id, resumed.last_n)) {
      this.backlog.unsettle(held.baseMs + resumed.from_ms);
      this.tell('void', { session_id: held.id, after_n: resumed.last_n });
    }
    if (resumed.recovered === false) this.#missing(resumed);
    this.#over = resumed.stopped === true;
    if (this.#over) this.backlog.forget(held.base + resumed.next_seq);
    this.tell('resumed', resumed);
    this.#live();
  }

  /** @param {import('../protocol.js').SessionResumed} resumed */
  #missing({ session_id: id, last_n: lastN, transcript }) {
    const from = this.#finals.last(id) + 1;
    this.#finals.skipTo(id, lastN);
    if (from <= lastN) this.tell('missing', { session_id: id, from_n: from, to_n: lastN, transcript });
  }

  #live() {
    this.answer.clear();
    this.#stopSent = false;
    this.phase = 'live';
    if (this.link.wire && !this.#over) this.outlet.open(this.link.wire);
  }

  /** The service asks for audio that is not here any more: this socket's session cannot go on. */
  #outOfStep() {
    this.#breakOff('audio_gone');
    this.link.drop();
  }

  /** The session is lost: another is begun, with the audio that no final covers. @param {string} why */
  #breakOff(why) {
    if (this.#held) this.#held.token = undefined;
    this.#broken = why;
    this.outlet.close();
    this.answer.clear();
    this.migration.cancel();
    this.phase = 'waiting';
  }

  /** @param {any} words */
  #words(words) {
    if (words.is_final) this.#numbered(words);
    else if (this.#finals.isOpen(words.session_id, words.n)) this.tell('transcription', this.#placed(words));
  }

  /** A final, or what else has a number of its own. @param {any} message */
  #numbered(message) {
    const { session_id: id, n, end_ms: endMs, to_ms: toMs } = message;
    const before = this.#finals.last(id);
    if (!this.#finals.take(id, n)) return;
    if (n > before + 1) this.tell('missing', { session_id: id, from_n: before + 1, to_n: n - 1 });
    const held = this.#held;
    if (held && this.backlog.shape) this.backlog.settle(held.baseMs + (endMs ?? toMs ?? 0));
    this.tell(message.type, this.#placed(message));
  }

  /** With the time of the stream at which the session began. @param {any} message */
  #placed(message) {
    return { ...message, base_ms: this.#held?.baseMs ?? 0 };
  }

  /** @param {import('../protocol.js').AudioAck} ack */
  #acked({ acked_seq: seq, acked_ms: ms }) {
    const held = /** @type {Held} */ (this.#held);
    if (typeof seq === 'number') this.backlog.forget(held.base + seq + 1);
    if (this.backlog.shape && typeof ms === 'number') this.backlog.settle(held.baseMs + ms);
  }

  /** @param {any} message */
  #stopped(message) {
    const complete = this.#over && this.#stopping && this.backlog.waiting === 0;
    if (this.#stopSent || complete) return this.#end({ outcome: 'finished', report: message.report });
    if (this.#over) {
      // What was said after the end is for another session.
      this.#breakOff('stopped');
      return this.#begin();
    }
    // The replica goes away and has finished what it had: the session goes on elsewhere.
    this.link.drop();
  }

  /** @param {import('../protocol.js').ServiceError} error */
  #failed(error) {
    if (error.room !== undefined || (error.session_id !== undefined && error.session_id !== this.#held?.id)) return;
    if (this.phase === 'resuming') return this.#resumeRefused(error);
    if (this.phase === 'starting') return this.#refused(error);
    if (this.phase !== 'live') return;
    this.tell('problem', { error });
    if (error.session_id !== undefined) {
      this.#breakOff(error.code ?? 'failed');
      this.#refused(error, true);
    } else if (error.code === 'overloaded' && this.#held?.token) {
      // Refused chunks have no number: the rest must be numbered anew.
      this.link.drop();
    }
  }

  /** @param {import('../protocol.js').ServiceError} error */
  #resumeRefused(error) {
    const inTime = this.link.clock.nowMs() - this.#lostAtMs < (this.#held?.withinMs ?? 0);
    if (error.retryable === true && inTime) {
      this.#refusals = Math.min(this.#refusals, START_ATTEMPTS - 1);
      return this.#refused(error);
    }
    this.tell('problem', { error });
    this.#breakOff(error.code ?? 'refused');
    this.#begin();
  }

  /** Asks again after a while, elsewhere if this replica goes away. @param {import('../protocol.js').ServiceError} error @param {boolean} [told] */
  #refused(error, told = false) {
    this.answer.clear();
    const again = error.retryable === true && this.#refusals < START_ATTEMPTS;
    const jitterMs = fullJitterMs(this.#refusals + FIRST_WAIT_STEP, undefined, this.link.random);
    const retryInMs = again ? (error.retry_after_ms ?? 0) + jitterMs : undefined;
    this.#refusals += 1;
    if (!told) this.tell('problem', { error, retryInMs });
    this.phase = 'waiting';
    if (retryInMs === undefined) return this.#end({ outcome: 'failed', error });
    if (error.code === 'shutting_down') this.link.drop();
    else this.answer.set(retryInMs, () => this.#begin());
  }

  /** @param {import('./backlog.js').Chunk} chunk */
  #sent({ endMs }) {
    if (this.#held) this.#held.spoken = true;
    this.tell('sent', { end_ms: endMs, base_ms: this.#held?.baseMs ?? 0 });
  }

  #drained() {
    if (!this.#stopping || this.backlog.waiting > 0) return;
    const unsaid = this.#held !== null || this.backlog.end > 0;
    if (!unsaid) return this.#end({ outcome: 'finished' });
    if (this.phase !== 'live' || this.#stopSent || !this.outlet.wire) return;
    this.#stopSent = true;
    this.outlet.wire.send({ type: 'stop_streaming' });
  }

  /** @param {Omit<StreamEnd, 'lost_ms'>} end */
  #end(end) {
    if (this.phase === 'ended') return;
    this.#listening.abort();
    // The socket must be free for the next stream; a session that has yet to be answered cannot be stopped.
    if (this.phase === 'live' && !this.#stopSent) this.link.wire?.send({ type: 'stop_streaming' });
    if (this.phase === 'starting' || this.phase === 'resuming') this.link.drop();
    this.phase = 'ended';
    this.outlet.close();
    this.answer.clear();
    this.patience.clear();
    this.migration.cancel();
    this.link.urgent = false;
    this.link.settle();
    this.#resolve(end);
    this.tell('ended', end);
  }
}
