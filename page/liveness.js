/** Tells a dead connection from a quiet one: chunks ask for an acknowledgement, so a live server is heard while audio flows. */

const SILENCE_MS = 5_000;
const SENDING_MS = 1_500;

export class Liveness {
  #heardAtMs = 0;
  #sentAtMs = -Infinity;
  #acknowledges = false;

  /** @param {number} nowMs */
  open(nowMs) {
    this.#heardAtMs = nowMs;
    this.#sentAtMs = -Infinity;
    this.#acknowledges = false;
  }

  /** @param {number} nowMs */
  heard(nowMs) {
    this.#heardAtMs = nowMs;
  }

  /** @param {number} nowMs */
  sent(nowMs) {
    this.#sentAtMs = nowMs;
  }

  /** The server answers acknowledgements, so its silence means something. */
  acknowledged() {
    this.#acknowledges = true;
  }

  /**
   * Audio is flowing out and nothing has come back for too long.
   * @param {number} nowMs
   */
  isDead(nowMs) {
    const sending = nowMs - this.#sentAtMs < SENDING_MS;
    return this.#acknowledges && sending && nowMs - this.#heardAtMs > SILENCE_MS;
  }
}
