/** The transcript taken away: as plain text, or as a file with times. */

import { clockText } from './clock.js';
import { jointOf, speakerName } from './transcript.js';

/** @typedef {import('./transcript.js').Paragraph} Paragraph */

/** @param {Paragraph} paragraph */
function paragraphText(paragraph) {
  const speaker = speakerName(paragraph.runs[0].speaker);
  return (speaker && `${speaker}: `) + paragraph.runs.map((run) => run.text).join(jointOf(paragraph.lang));
}

/** @param {Paragraph[]} paragraphs */
export const plainText = (paragraphs) => paragraphs.map(paragraphText).join('\n\n');

/** @param {Paragraph[]} paragraphs */
export const timedText = (paragraphs) =>
  paragraphs.map((paragraph) => `[${clockText(paragraph.runs[0].startMs)}] ${paragraphText(paragraph)}\n`).join('');

/** @param {string} text */
export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'unseen';
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  if (!copied) throw new Error('the browser did not copy');
}

/** @param {string} text @param {Date} now */
export function saveText(text, now) {
  const stamp = new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString().slice(0, 16).replace(/[T:]/g, '-');
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain;charset=utf-8' }));
  link.download = `transcript-${stamp}.txt`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
