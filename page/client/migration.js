/** Make before break: another socket takes the session over, and only then the old one is left. */

import { fullJitterMs } from './backoff.js';
import { Alarm } from './time.js';

const ANSWER_MS = 10_000;
const RETRY_CAP_MS = 2_000;

/** @typedef {{hold: () => void, release: () => void, question: () => object, taken: (resumed: any) => void}} Stay the session that moves */

export class Migration {
  /** @type {import('./wire.js').Wire | null} */
  #wire = null;
  #untilMs = 0;
  #attempt = 0;
  /** The resume was asked for, and is not answered. */
  #asked = false;
  #alarm;

  /** @param {import('./link.js').Link} link @param {Stay} stay */
  constructor(link, stay) {
    this.link = link;
    this.stay = stay;
    this.#alarm = new Alarm(link.clock);
  }

  /** @param {{reconnect_after_ms?: number, deadline_ms?: number}} migrate */
  begin({ reconnect_after_ms: afterMs = 0, deadline_ms: deadlineMs = 0 }) {
    this.cancel();
    this.#attempt = 0;
    this.#untilMs = this.link.clock.nowMs() + deadlineMs;
    this.#alarm.set(afterMs, () => this.#dial());
  }

  /** The old socket is gone, or the session over. */
  cancel() {
    this.#alarm.clear();
    this.#asked = false;
    this.#wire?.leave();
    this.#wire = null;
  }

  #dial() {
    this.#wire = this.link.spare({
      greeted: () => this.#ask(),
      heard: (message) => this.#heard(message),
      ended: () => this.#failed(true),
    });
  }

  /** From here on the old socket may be closed at any moment, and that is no loss. */
  #ask() {
    this.#asked = true;
    this.link.moving = true;
    this.stay.hold();
    this.#alarm.set(ANSWER_MS, () => this.#failed(true));
    this.#wire?.send(this.stay.question());
  }

  /** @param {any} message */
  #heard(message) {
    if (!this.#asked || !this.#wire) return;
    if (message.type === 'error') return this.#failed(message.retryable !== false);
    if (message.type !== 'session_resumed') return;
    this.#asked = false;
    this.#alarm.clear();
    const wire = this.#wire;
    this.#wire = null;
    this.link.adopt(wire);
    this.stay.taken(message);
  }

  /** @param {boolean} again whether it may succeed yet */
  #failed(again) {
    this.cancel();
    this.stay.release();
    this.link.settle();
    const waitMs = fullJitterMs(this.#attempt, RETRY_CAP_MS, this.link.random);
    this.#attempt += 1;
    if (!again || !this.link.ready || this.link.clock.nowMs() + waitMs > this.#untilMs) return;
    this.#alarm.set(waitMs, () => this.#dial());
  }
}
