/** Time as the client reads it. Tests bring a clock of their own. */

/**
 * @typedef {object} Clock
 * @property {() => number} nowMs monotonic
 * @property {(ms: number, act: () => void) => () => void} after gives what calls it off
 */

/** @type {Clock} */
export const CLOCK = {
  nowMs: () => performance.now(),
  after(ms, act) {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};

/** At most one thing that is to happen later: setting another calls the first off. */
export class Alarm {
  /** @type {() => void} */
  #callOff = () => {};

  /** @param {Clock} clock */
  constructor(clock) {
    this.clock = clock;
  }

  /** @param {number} ms @param {() => void} act */
  set(ms, act) {
    this.#callOff();
    this.#callOff = this.clock.after(ms, act);
  }

  clear() {
    this.#callOff();
  }
}
