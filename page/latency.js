/** Time from the end of spoken audio to the arrival of its text, as this page sees it. */

const KEPT_CHUNKS = 900;
const KEPT_FIGURES = 15;

/** @param {number[]} figures */
function median(figures) {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : null;
}

export class Latency {
  /** @type {{endMs: number, sentAtMs: number}[]} chunks in the order they were sent */
  #sent = [];
  /** @type {{interim: number[], final: number[]}} */
  #figures = { interim: [], final: [] };

  /**
   * A chunk whose audio ends at `endMs` was sent.
   * @param {number} endMs
   * @param {number} nowMs
   */
  sent(endMs, nowMs) {
    this.#sent.push({ endMs, sentAtMs: nowMs });
    if (this.#sent.length > KEPT_CHUNKS) this.#sent.shift();
  }

  /**
   * Text came that covers audio up to `endMs`.
   * @param {number} endMs
   * @param {boolean} isFinal
   * @param {number} nowMs
   */
  arrived(endMs, isFinal, nowMs) {
    const chunk = this.#sent.find((sent) => sent.endMs >= endMs) ?? this.#sent.at(-1);
    if (!chunk) return;
    const figures = isFinal ? this.#figures.final : this.#figures.interim;
    figures.push(nowMs - chunk.sentAtMs);
    if (figures.length > KEPT_FIGURES) figures.shift();
  }

  /** Chunk times of an earlier session say nothing about the next one. */
  restart() {
    this.#sent = [];
  }

  /** Medians of the latest figures in milliseconds; null where there is none yet. */
  get medians() {
    return { interimMs: median(this.#figures.interim), finalMs: median(this.#figures.final) };
  }
}
