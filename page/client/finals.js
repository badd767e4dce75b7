/** Which texts count: each final once, in order, whatever is said again after a loss. */

export class Finals {
  /** @type {Map<string, number>} the last final of each session */
  #last = new Map();

  /** @param {string} session */
  last(session) {
    return this.#last.get(session) ?? 0;
  }

  /** Whether a final, or what else has a number of its own, is news. @param {string} session @param {number} n */
  take(session, n) {
    if (!this.isOpen(session, n)) return false;
    this.#last.set(session, n);
    return true;
  }

  /** Whether an interim is still about something that may change. @param {string} session @param {number} n */
  isOpen(session, n) {
    return n > this.last(session);
  }

  /** Finals after `n` are void: they will be said again. True if there were any. @param {string} session @param {number} n */
  voidAfter(session, n) {
    if (this.last(session) <= n) return false;
    this.#last.set(session, n);
    return true;
  }

  /** Goes on after `n`, though not everything before it was seen. @param {string} session @param {number} n */
  skipTo(session, n) {
    this.#last.set(session, Math.max(n, this.last(session)));
  }
}
