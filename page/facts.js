/** What is known about the session: language, engine, latency and time. */

import { clockText, durationText } from './clock.js';
import { languageName } from './languages.js';

/** @type {Record<string, string>} */
const ENGINES = { local: 'On this server', deepgram: 'Deepgram', assemblyai: 'AssemblyAI' };

export class Facts {
  #timer = 0;
  #startedAtMs = 0;

  /** @param {Record<'hint' | 'list' | 'language' | 'engine' | 'latency' | 'final' | 'elapsed', HTMLElement>} places */
  constructor(places) {
    this.places = places;
  }

  /** @param {import('./protocol.js').SessionStarted} started */
  session({ provider, model, language }) {
    this.places.hint.hidden = true;
    this.places.list.hidden = false;
    this.places.language.textContent = languageName(language);
    this.places.engine.textContent = [ENGINES[provider] ?? provider, model].filter(Boolean).join(' · ');
  }

  /** @param {{interimMs: number | null, finalMs: number | null}} medians */
  latency({ interimMs, finalMs }) {
    const { latency, final } = this.places;
    const firstMs = interimMs ?? finalMs;
    latency.textContent = firstMs === null ? '–' : durationText(firstMs);
    final.textContent = interimMs === null || finalMs === null ? '' : `, final ${durationText(finalMs)}`;
  }

  startClock() {
    this.#startedAtMs = performance.now();
    this.#write();
    clearInterval(this.#timer);
    this.#timer = window.setInterval(() => this.#write(), 250);
  }

  stopClock() {
    clearInterval(this.#timer);
  }

  #write() {
    const text = clockText(performance.now() - this.#startedAtMs);
    if (this.places.elapsed.textContent !== text) this.places.elapsed.textContent = text;
  }
}
