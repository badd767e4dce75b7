/** How long to wait before the next attempt: exponential with full jitter, so that clients do not return together. */

export const BASE_MS = 500;
export const CAP_MS = 15_000;
/** While someone is speaking: a client keeps 30 s of speech, so it must ask more often. */
export const URGENT_CAP_MS = 4_000;

/**
 * @param {number} attempt counts from 0
 * @param {number} [capMs]
 * @param {() => number} [random] a number in [0, 1)
 * @returns {number} milliseconds
 */
export function fullJitterMs(attempt, capMs = CAP_MS, random = Math.random) {
  const ceiling = Math.min(capMs, BASE_MS * 2 ** Math.min(attempt, 16));
  return Math.round(random() * ceiling);
}
