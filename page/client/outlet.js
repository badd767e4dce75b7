/** Lets the backlog out to a socket: at once while live, at a few times real time after a loss. */

import { Alarm } from './time.js';

const PUMP_MS = 100;
/** How much faster than it was spoken kept audio is sent. */
const PACE = 4;
/** Pieces of a pump where nobody knows how long they are. */
const OPAQUE_PIECES = 4;

export class Outlet {
  /** The socket that takes audio just now. @type {import('./wire.js').Wire | null} */
  wire = null;
  #alarm;

  /**
   * @param {import('./backlog.js').Backlog} backlog
   * @param {import('./time.js').Clock} clock
   * @param {(chunk: import('./backlog.js').Chunk) => void} sent
   * @param {() => void} drained everything is sent
   */
  constructor(backlog, clock, sent, drained) {
    this.backlog = backlog;
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
    this.#alarm.clear();
  }

  /** A chunk has come: it goes at once if nothing waits before it. */
  push() {
    if (this.backlog.waiting === 1) this.#pump();
  }

  #pump() {
    const { wire, backlog } = this;
    if (!wire) return;
    let budget = backlog.shape ? PUMP_MS * PACE : OPAQUE_PIECES;
    while (budget > 0 && !wire.congested) {
      const chunk = backlog.take();
      if (!chunk) break;
      wire.sendAudio(chunk.bytes);
      this.sent(chunk);
      budget -= backlog.shape ? chunk.endMs - chunk.startMs : 1;
    }
    if (backlog.waiting > 0) this.#alarm.set(PUMP_MS, () => this.#pump());
    else this.drained();
  }
}
