/** Sample-rate conversion for browsers that will not open a 16 kHz audio context: polyphase windowed sinc. */

const ZERO_CROSSINGS = 16;

/** @param {number} a @param {number} b @returns {number} */
const divisor = (a, b) => (b === 0 ? a : divisor(b, a % b));

/**
 * @param {number} x distance in input samples
 * @param {number} cutoff share of the input's Nyquist frequency
 * @param {number} half half width in input samples
 */
function kernel(x, cutoff, half) {
  if (Math.abs(x) >= half) return 0;
  const angle = Math.PI * x * cutoff;
  const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
  return cutoff * sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / half));
}

export class Resampler {
  /**
   * @param {number} fromHz
   * @param {number} toHz
   */
  constructor(fromHz, toHz) {
    const common = divisor(fromHz, toHz);
    this.up = toHz / common;
    this.down = fromHz / common;
    const cutoff = Math.min(1, toHz / fromHz) * 0.96;
    this.half = Math.ceil(ZERO_CROSSINGS / cutoff);
    this.taps = Array.from({ length: this.up }, (_, phase) => {
      const row = new Float32Array(2 * this.half);
      for (let tap = 0; tap < row.length; tap += 1) {
        row[tap] = kernel(tap - this.half + 1 - phase / this.up, cutoff, this.half);
      }
      return row;
    });
    this.phase = 0;
    this.kept = new Float32Array(this.half - 1);
  }

  /**
   * The next stretch of input; gives as much output as it completes.
   * @param {Float32Array} samples
   * @returns {Float32Array}
   */
  push(samples) {
    if (this.up === this.down) return samples;
    const input = new Float32Array(this.kept.length + samples.length);
    input.set(this.kept);
    input.set(samples, this.kept.length);
    const out = new Float32Array(Math.ceil((input.length * this.up) / this.down) + 1);
    let at = 0;
    let count = 0;
    while (at + 2 * this.half <= input.length) {
      out[count] = this.#dot(input, at);
      count += 1;
      this.phase += this.down;
      at += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    this.kept = input.slice(at);
    return out.subarray(0, count);
  }

  /**
   * @param {Float32Array} input
   * @param {number} at
   */
  #dot(input, at) {
    const row = this.taps[this.phase];
    let sum = 0;
    for (let tap = 0; tap < row.length; tap += 1) sum += input[at + tap] * row[tap];
    return sum;
  }
}
