/** Lets the backlog out to a socket: at once while live, at a few times real time after a loss. */

import { Alarm } from './time.js';

const PUMP_MS = 100;
/** How much faster than it was spoken kept audio is sent. */
const PACE = 4;
/** What a piece counts for where nobody knows how long it is. */
const OPAQUE_MS = 100;

export class Outlet {
  /** The socket that takes audio just now. @type {import('./wire.js').Wire | null} */
  wire = null;
  /** Audio that may go now, in milliseconds; less than none after a long piece. */
  #budgetMs = 0;
  #pumpedAtMs = -Infinity;
  #waits = false;
  #alarm;

  /**
   * @param {import('./backlog.js').Backlog} backlog
   * @param {import('./time.js').Clock} clock
   * @param {(chunk: import('./backlog.js').Chunk) => void} sent
   * @param {() => void} drained everything is sent
   */
  constructor(backlog, clock, sent, drained) {
    this.backlog = backlog;
    this.clock = clock;
    this.sent = sent;
    this.drained = drained;
    this.#alarm = new Alarm(clock);
  }

  /** @param {import('./wire.js').Wire} wire */
  open(wire) {
    this.wire = wire;
    this.#pump();
  }

  close() {
    this.wire = null;
    this.#waits = false;
    this.#alarm.clear();
  }

  /** A chunk has come: it goes at once if nothing waits before it. */
  push() {
    if (!this.#waits) this.#pump();
  }

  #pump() {
    const { wire, backlog } = this;
    if (!wire) return;
    this.#earn();
    while (this.#budgetMs > 0 && !wire.congested) {
      const chunk = backlog.take();
      if (!chunk) break;
      wire.sendAudio(chunk.bytes);
      this.sent(chunk);
      this.#budgetMs -= backlog.shape ? chunk.endMs - chunk.startMs : OPAQUE_MS;
    }
    this.#waits = backlog.waiting > 0;
    if (this.#waits) this.#alarm.set(PUMP_MS, () => this.#pump());
    else this.drained();
  }

  #earn() {
    const nowMs = this.clock.nowMs();
    const earnedMs = (nowMs - this.#pumpedAtMs) * PACE;
    this.#budgetMs = Math.min(this.#budgetMs + earnedMs, PUMP_MS * PACE);
    this.#pumpedAtMs = nowMs;
  }
}
