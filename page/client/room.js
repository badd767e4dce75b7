/** A room that is watched: its texts each once and in order, across lost connections. */

import { fullJitterMs } from './backoff.js';
import { Finals } from './finals.js';
import { Alarm } from './time.js';
import { Told } from './told.js';

/** @typedef {{epoch: number, offset: number, session_id?: string, n?: number}} Position */

/** @extends {Told<import('./transcriber.js').RoomEvents>} */
export class Room extends Told {
  /** Up to where it was seen. @type {Position | null} */
  position = null;
  #finals = new Finals();
  #attempt = 0;
  #listening = new AbortController();
  #alarm;

  /** @param {import('./link.js').Link} link @param {string} name @param {string | undefined} share */
  constructor(link, name, share) {
    super();
    this.link = link;
    this.name = name;
    this.share = share;
    this.#alarm = new Alarm(link.clock);
    const { signal } = this.#listening;
    link.addEventListener('wire', () => this.#join(), { signal });
    link.addEventListener('message', ({ detail }) => this.#heard(detail), { signal });
    queueMicrotask(() => this.#join());
  }

  leave() {
    this.#listening.abort();
    this.#alarm.clear();
    if (this.link.ready) this.link.wire?.send({ type: 'leave', room: this.name });
  }

  #join() {
    if (!this.link.ready || this.#listening.signal.aborted) return;
    const resume = this.position ? { resume: this.position } : {};
    const share = this.share === undefined ? {} : { share: this.share };
    this.link.wire?.send({ type: 'join', room: this.name, ...share, ...resume });
  }

  /** @param {any} message */
  #heard(message) {
    if (message.room !== this.name) return;
    if (message.type === 'joined') this.#joined(message);
    else if (message.type === 'error') this.#refused(message);
    else if (message.type === 'history_gap') this.tell('missing', message);
    else if (message.type === 'viewers' || message.type === 'room_status') this.tell(message.type, message);
    else if (['transcription', 'gap', 'session_ended'].includes(message.type)) this.#said(message);
  }

  /** @param {import('../protocol.js').Joined} joined */
  #joined(joined) {
    this.#attempt = 0;
    if (this.position && !joined.recovered) this.tell('missing', joined);
    this.tell('joined', joined);
    for (const text of joined.snapshot ?? []) this.#said(text);
    if (!this.position || !joined.recovered) this.position = { ...this.position, epoch: joined.epoch, offset: joined.offset };
  }

  /** @param {import('../protocol.js').ServiceError} error */
  #refused(error) {
    if (error.retryable !== true) {
      this.#listening.abort();
      return this.tell('refused', error);
    }
    this.#alarm.set((error.retry_after_ms ?? 0) + fullJitterMs(this.#attempt, undefined, this.link.random), () => this.#join());
    this.#attempt += 1;
  }

  /** @param {any} message */
  #said(message) {
    const { session_id: id, n, epoch, offset } = message;
    if (message.type === 'transcription' && !message.is_final) {
      if (this.#finals.isOpen(id, n)) this.tell('transcription', message);
      return;
    }
    if (epoch !== undefined) this.position = { epoch, offset, session_id: id, n };
    // A room is entered in the midst of sessions: what is missing there, only the service knows.
    if (this.#finals.take(id, n)) this.tell(message.type, message);
  }
}
