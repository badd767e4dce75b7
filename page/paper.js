/** Where the transcript is read: writes paragraphs, keeps the newest in sight unless the reader has scrolled up. */

import { clockText } from './clock.js';
import { languageName } from './languages.js';
import { jointOf, speakerName } from './transcript.js';

const NEAR_END_PX = 48;
const SPOKEN_ENTRIES = 20;

/** @param {string} name @param {string} className @param {string} [text] */
function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export class Paper {
  /** @type {{block: HTMLElement, text: HTMLElement, runs: number}[]} one for each paragraph */
  #written = [];
  /** @type {Element[]} */
  #pending = [];
  #following = true;

  /**
   * @param {import('./transcript.js').Transcript} transcript
   * @param {{scroll: HTMLElement, body: HTMLElement, latest: HTMLElement, spoken: HTMLElement}} parts
   */
  constructor(transcript, parts) {
    this.transcript = transcript;
    this.parts = parts;
    parts.scroll.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    parts.latest.addEventListener('click', () => this.follow());
    new ResizeObserver(() => this.#settle()).observe(parts.scroll);
  }

  /** Brings the page up to date with the transcript. */
  write() {
    for (const node of this.#pending) node.remove();
    this.#pending = [];
    const { paragraphs, interim } = this.transcript;
    for (let at = Math.max(0, this.#written.length - 1); at < paragraphs.length; at += 1) this.#writeParagraph(at);
    this.#writeInterim(interim);
    this.#settle();
  }

  /** Starts again from nothing: after a clear or an undo. */
  rewrite() {
    this.parts.body.replaceChildren();
    this.parts.spoken.replaceChildren();
    this.#written = [];
    this.#pending = [];
    this.follow();
    this.write();
  }

  /** @param {number} at */
  #writeParagraph(at) {
    const { paragraphs } = this.transcript;
    const paragraph = paragraphs[at];
    if (!this.#written[at]) {
      if (paragraph.recording !== paragraphs[at - 1]?.recording) this.#divide(paragraph);
      this.#written[at] = { ...this.#block(paragraph.runs[0], paragraph.lang), runs: 0 };
    }
    const written = this.#written[at];
    for (const run of paragraph.runs.slice(written.runs)) {
      written.text.append(written.runs > 0 ? jointOf(paragraph.lang) : '', element('span', 'final', run.text));
      written.runs += 1;
      this.#speak(run);
    }
  }

  /** @param {import('./transcript.js').Run[]} runs */
  #writeInterim(runs) {
    let text = this.#written.at(-1)?.text;
    const { recording } = this.transcript;
    if (runs.length > 0 && !recording.begun) this.#pending.push(this.#divide(recording));
    for (const run of runs) {
      if (run.breaks || !text) {
        const block = this.#block(run, this.transcript.lang);
        text = block.text;
        this.#pending.push(block.block);
      }
      const node = element('span', 'interim', (text.hasChildNodes() ? this.transcript.joint : '') + run.text);
      text.append(node);
      this.#pending.push(node);
    }
  }

  /**
   * @param {import('./transcript.js').Run} run
   * @param {string} lang
   */
  #block(run, lang) {
    const block = element('div', 'paragraph');
    const margin = element('p', 'margin');
    margin.append(element('span', 'time', clockText(run.startMs)));
    if (run.speaker !== null) {
      const speaker = element('span', 'speaker', speakerName(run.speaker));
      speaker.dataset.speaker = String(run.speaker % 6);
      margin.append(speaker);
    }
    const text = element('p', 'text');
    text.lang = lang;
    text.dir = 'auto';
    block.append(margin, text);
    this.parts.body.append(block);
    return { block, text };
  }

  /** @param {{startedAtMs: number, lang: string}} recording */
  #divide({ startedAtMs, lang }) {
    const time = new Date(startedAtMs).toLocaleTimeString([], { hour: 'numeric', minute: '2-digit' });
    const divider = element('p', 'divider', [time, languageName(lang)].filter(Boolean).join(' · '));
    this.parts.body.append(divider);
    return divider;
  }

  /** For screen readers: finals only. @param {import('./transcript.js').Run} run */
  #speak(run) {
    const { spoken } = this.parts;
    const said = [speakerName(run.speaker), run.text].filter(Boolean).join(': ');
    spoken.append(element('p', '', said));
    while (spoken.childElementCount > SPOKEN_ENTRIES) spoken.firstElementChild?.remove();
  }

  /** Goes to the newest text and stays with it. */
  follow() {
    this.#following = true;
    this.#settle();
  }

  #scrolled() {
    const { scroll, latest } = this.parts;
    this.#following = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_END_PX;
    latest.hidden = this.#following;
  }

  #settle() {
    const { scroll, body, latest } = this.parts;
    if (this.#following && body.hasChildNodes()) scroll.scrollTop = scroll.scrollHeight;
    latest.hidden = this.#following;
  }
}
