/** Loudness of PCM, for the eye. Imported by the worklet too: no DOM here. */

export const SAMPLE_RATE_HZ = 16_000;
export const CHUNK_SAMPLES = 1_600;
export const LEVEL_SAMPLES = 320;
const FLOOR_DB = -54;

/**
 * Root mean square on a decibel scale: 0 is silence, 1 is full scale.
 * @param {Int16Array} pcm
 */
export function level(pcm) {
  if (pcm.length === 0) return 0;
  let sum = 0;
  for (const sample of pcm) sum += sample * sample;
  const db = 20 * Math.log10(Math.sqrt(sum / pcm.length) / 32_768 + 1e-9);
  return Math.min(1, Math.max(0, 1 - db / FLOOR_DB));
}

/**
 * One level for every 20 ms.
 * @param {Int16Array} pcm
 * @returns {number[]}
 */
export function levels(pcm) {
  const out = [];
  for (let at = 0; at < pcm.length; at += LEVEL_SAMPLES) out.push(level(pcm.subarray(at, at + LEVEL_SAMPLES)));
  return out;
}
