/** Words compared: how far what was written is from what was said. */

/** What is borne where a session changes hands in the midst of a word: that is heard less well. That none is lost is seen with `--exact`. */
export const CUT_ERROR_RATE = 0.25;

/** @param {string} text @returns {string[]} lower-case words without punctuation */
export const words = (text) => text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];

/**
 * Word error rate: the fewest insertions, deletions and substitutions for each word that was said.
 * @param {string} said
 * @param {string} written
 */
export function wordErrorRate(said, written) {
  const [wanted, got] = [words(said), words(written)];
  let row = got.map((_, at) => at + 1);
  row.unshift(0);
  for (const [line, word] of wanted.entries()) {
    const next = [line + 1];
    for (const [at, other] of got.entries()) {
      next.push(Math.min(row[at] + (word === other ? 0 : 1), row[at + 1] + 1, next[at] + 1));
    }
    row = next;
  }
  return row[got.length] / Math.max(1, wanted.length);
}
