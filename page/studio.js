/** One recording at a time: starts it, stops it, and carries what it says to the page. */

import { Latency } from './latency.js';
import { FINALS_MISSING, MICROPHONE, gapMessage } from './messages.js';
import { MicrophoneError } from './microphone.js';
import { showProblem } from './problem.js';
import { Recording } from './recording.js';

const SILENT_AFTER_MS = 6_000;
const SILENT_LEVEL = 0.02;

/**
 * @typedef {object} Parts
 * @property {import('./client/transcriber.js').Transcriber} transcriber
 * @property {import('./transcript.js').Transcript} transcript
 * @property {import('./paper.js').Paper} paper
 * @property {import('./waveform.js').Waveform} waveform
 * @property {import('./facts.js').Facts} facts
 * @property {import('./notices.js').Notices} notices
 * @property {import('./options.js').Options} options
 */

/** Dispatches `phase` with the phase and the source's kind. */
export class Studio extends EventTarget {
  /** @type {Recording | null} */
  recording = null;
  #latency = new Latency();
  #silentSinceMs = 0;

  /** @param {Parts} parts */
  constructor(parts) {
    super();
    this.parts = parts;
  }

  /** @param {import('./protocol.js').Source} source */
  async start(source) {
    if (this.recording) return;
    const { transcriber, notices, options, transcript, paper } = this.parts;
    notices.hide('source', 'service', 'silent');
    const chosen = { ...options.read(), ...(source.lang && { lang: source.lang }) };
    const recording = new Recording(transcriber, source, chosen);
    this.recording = recording;
    this.#bind(recording);
    this.#phase('opening');
    transcript.beginRecording(chosen.lang, Date.now());
    paper.follow();
    try {
      await recording.start();
    } catch (error) {
      this.#sourceFailed(error);
    }
  }

  stop = async () => this.recording?.stop();

  /** @param {Recording} recording */
  #bind(recording) {
    /** @type {[string, (detail: any) => void][]} */
    const handlers = [
      ['phase', (phase) => this.#phase(phase)],
      ['chunk', (chunk) => this.#heard(chunk)],
      ['sent', ({ end_ms: endMs, base_ms: baseMs }) => this.#latency.sent(endMs - baseMs, performance.now())],
      ['session', (started) => this.#session(started)],
      ['resumed', () => this.#goneOn()],
      ['transcription', (words) => this.#words(words)],
      ['void', (taken) => this.#takenBack(taken)],
      ['problem', ({ error, retryInMs }) => this.#problem(error, retryInMs)],
      ['gap', (gap) => this.#gap(gap)],
      ['missing', () => this.parts.notices.show('gap', FINALS_MISSING)],
    ];
    for (const [name, handle] of handlers) {
      recording.addEventListener(name, (event) => handle(/** @type {CustomEvent} */ (event).detail));
    }
  }

  /** @param {Recording['phase']} phase */
  #phase(phase) {
    const { waveform, facts, options, transcript, paper, notices } = this.parts;
    const kind = this.recording?.source.kind ?? 'microphone';
    options.lock(phase !== 'done');
    if (phase === 'live') {
      this.#silentSinceMs = performance.now();
      waveform.start();
      facts.startClock();
    }
    if (phase === 'stopping') waveform.stop();
    if (phase === 'done') {
      waveform.stop();
      facts.stopClock();
      notices.hide('silent');
      transcript.keepInterim();
      paper.write();
      this.recording = null;
    }
    this.dispatchEvent(new CustomEvent('phase', { detail: { phase, kind } }));
  }

  /** @param {import('./protocol.js').Chunk} chunk */
  #heard(chunk) {
    const { waveform, notices } = this.parts;
    const nowMs = performance.now();
    waveform.push(chunk.levels);
    if (Math.max(...chunk.levels) > SILENT_LEVEL) {
      this.#silentSinceMs = nowMs;
      notices.hide('silent');
    } else if (nowMs - this.#silentSinceMs > SILENT_AFTER_MS) {
      this.#silentSinceMs = Infinity;
      notices.show('silent', MICROPHONE.silent);
    }
  }

  /** @param {import('./protocol.js').SessionStarted} started */
  #session(started) {
    this.parts.facts.session(started);
    this.#goneOn();
  }

  /** Chunk times before a loss say nothing about what is sent again. */
  #goneOn() {
    this.#latency.restart();
    this.parts.notices.hide('service');
    this.dispatchEvent(new CustomEvent('session'));
  }

  /** @param {import('./protocol.js').Transcription & {base_ms: number}} words */
  #words(words) {
    const { transcript, paper, facts } = this.parts;
    transcript.accept(words, words.base_ms);
    if (words.transcript) this.#latency.arrived(words.end_ms, words.is_final, performance.now());
    facts.latency(this.#latency.medians);
    paper.write();
    this.dispatchEvent(new CustomEvent('words'));
  }

  /** @param {import('./protocol.js').ServiceError} error @param {number} [retryInMs] */
  #problem(error, retryInMs) {
    const asked = this.recording?.options.lang ?? this.parts.options.lang;
    showProblem(this.parts, error, asked, retryInMs);
    this.dispatchEvent(new CustomEvent('session'));
  }

  /** @param {{session_id: string, after_n: number}} taken */
  #takenBack({ session_id: session, after_n: afterN }) {
    const { transcript, paper } = this.parts;
    transcript.takeBack(session, afterN);
    paper.rewrite();
  }

  /** @param {import('./protocol.js').Gap & {base_ms: number}} gap */
  #gap(gap) {
    const { transcript, paper, notices } = this.parts;
    transcript.acceptGap(gap, gap.base_ms);
    paper.write();
    notices.show('gap', gapMessage(gap));
  }

  /** @param {unknown} error */
  #sourceFailed(error) {
    const message =
      error instanceof MicrophoneError
        ? MICROPHONE[error.reason]
        : /** @type {const} */ ({ tone: 'error', title: 'The sample could not be played.', text: 'Check the connection and try again.' });
    this.parts.notices.show('source', message);
  }
}
