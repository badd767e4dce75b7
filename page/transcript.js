/** The text itself: joins finals into paragraphs, and shows what may still change after them. */

import { durationText } from './clock.js';

const PAUSE_MS = 1_500;
const LONG_CHARACTERS = 320;
/** Languages written without spaces between words. */
const UNSPACED = new Set(['zh', 'ja', 'th']);

/** What stands between two words. @param {string} lang */
export const jointOf = (lang) => (UNSPACED.has(lang) ? '' : ' ');

/** @param {number | null} speaker counts from 0 */
export const speakerName = (speaker) => (speaker === null ? '' : `Speaker ${speaker + 1}`);

/**
 * @typedef {object} Run a stretch of one speaker
 * @property {string} text
 * @property {number} startMs recording time
 * @property {number} endMs
 * @property {number | null} speaker
 * @property {string} session
 * @property {number} n number of its final there
 * @property {boolean} breaks it begins a paragraph
 */
/** @typedef {{runs: Run[], lang: string, recording: number, startedAtMs: number}} Paragraph */

/**
 * What one event says, speaker by speaker.
 * @param {import('./protocol.js').Transcription} event
 * @param {number} baseMs
 * @param {string} joint
 * @returns {Omit<Run, 'breaks'>[]}
 */
function speakerRuns(event, baseMs, joint) {
  const startMs = baseMs + (event.start_ms ?? 0);
  const endMs = baseMs + (event.end_ms ?? 0);
  const of = { session: event.session_id, n: event.n };
  const words = event.words ?? [];
  if (!words.some((word) => word.speaker !== undefined)) {
    return [{ text: event.transcript.trim(), startMs: words[0] ? baseMs + words[0].start_ms : startMs, endMs, speaker: null, ...of }];
  }
  /** @type {Omit<Run, 'breaks'>[]} */
  const runs = [];
  for (const word of words) {
    const text = word.punctuated_word ?? word.word;
    const last = runs.at(-1);
    const speaker = word.speaker ?? last?.speaker ?? null;
    if (last && last.speaker === speaker) Object.assign(last, { text: last.text + joint + text, endMs: baseMs + word.end_ms });
    else runs.push({ text, startMs: baseMs + word.start_ms, endMs: baseMs + word.end_ms, speaker, ...of });
  }
  return runs;
}

export class Transcript {
  /** @type {Paragraph[]} */
  paragraphs = [];
  /** @type {Run[]} what may still change */
  interim = [];
  #recording = 0;
  #startedAtMs = 0;
  lang = 'en';
  #pause = true;

  /** @param {string} lang @param {number} nowMs wall clock */
  beginRecording(lang, nowMs) {
    this.#recording += 1;
    this.#startedAtMs = nowMs;
    this.lang = lang;
    this.#pause = true;
    this.interim = [];
  }

  /**
   * Takes an event of the service: finals in order and each once.
   * @param {import('./protocol.js').Transcription} event
   * @param {number} baseMs recording time at which the session began
   */
  accept(event, baseMs) {
    const runs = speakerRuns(event, baseMs, this.joint).filter((run) => run.text);
    if (!event.is_final) {
      let previous = this.#latest();
      this.interim = runs.map((run) => {
        const whole = { ...run, breaks: this.#breaks(previous, run, this.#pause) };
        previous = whole;
        return whole;
      });
      return;
    }
    this.interim = [];
    for (const run of runs) this.#append(run);
    if (runs.length > 0) this.#pause = event.speech_final !== false;
  }

  /** Audio without a text, in its place: a reader of a copy has to know. @param {import('./protocol.js').Gap} gap @param {number} baseMs */
  acceptGap({ from_ms: start_ms, to_ms: end_ms, session_id, n = 0 }, baseMs) {
    const transcript = `[${durationText(end_ms - start_ms)} missing]`;
    this.accept({ type: 'transcription', transcript, is_final: true, confidence: 1, session_id, n, start_ms, end_ms }, baseMs);
  }

  /** Finals that are void: they will be said again. @param {string} session @param {number} afterN */
  takeBack(session, afterN) {
    this.interim = [];
    for (const paragraph of this.paragraphs) {
      paragraph.runs = paragraph.runs.filter((run) => run.session !== session || run.n <= afterN);
    }
    this.paragraphs = this.paragraphs.filter(({ runs }) => runs.length > 0);
  }

  /** @param {Omit<Run, 'breaks'>} run */
  #append(run) {
    const breaks = this.#breaks(this.#latest(), run, this.#pause);
    if (breaks) this.paragraphs.push({ runs: [], lang: this.lang, recording: this.#recording, startedAtMs: this.#startedAtMs });
    this.paragraphs.at(-1)?.runs.push({ ...run, breaks });
    this.#pause = false;
  }

  /** @returns {Run | null} the last run of this recording */
  #latest() {
    const paragraph = this.paragraphs.at(-1);
    return paragraph?.recording === this.#recording ? (paragraph.runs.at(-1) ?? null) : null;
  }

  /**
   * A paragraph begins with a recording, a speaker, a long pause, or after a long paragraph's last sentence.
   * @param {Omit<Run, 'breaks'> | null} previous
   * @param {Omit<Run, 'breaks'>} run
   * @param {boolean} pause
   */
  #breaks(previous, run, pause) {
    if (!previous || previous.speaker !== run.speaker) return true;
    const length = this.paragraphs.at(-1)?.runs.reduce((sum, { text }) => sum + text.length, 0) ?? 0;
    return pause && (run.startMs - previous.endMs >= PAUSE_MS || length >= LONG_CHARACTERS);
  }

  /** The recording that runs, or ran last: when it began, and whether it has finals yet. */
  get recording() {
    const begun = this.paragraphs.at(-1)?.recording === this.#recording;
    return { startedAtMs: this.#startedAtMs, lang: this.lang, begun };
  }

  get joint() {
    return jointOf(this.lang);
  }

  get empty() {
    return this.paragraphs.length === 0;
  }

  /** What was heard but never became final, because the recording ended: kept as it stands. */
  keepInterim() {
    for (const run of this.interim) this.#append(run);
    this.interim = [];
  }

  /** @returns {() => void} puts the text back */
  clear() {
    const { paragraphs } = this;
    this.paragraphs = [];
    this.interim = [];
    this.#pause = true;
    return () => this.paragraphs.unshift(...paragraphs);
  }
}
