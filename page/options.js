/** What the reader chose: language and the choices under "More", remembered for the next visit. */

import { LANGUAGES, languageName } from './languages.js';
import { SAMPLE_RATE_HZ } from './level.js';

const KEY = 'live-language';
const MAX_KEYTERMS = 50;

function remembered() {
  try {
    const code = localStorage.getItem(KEY) ?? 'en';
    return code in LANGUAGES ? code : 'en';
  } catch {
    return 'en';
  }
}

/** @param {string} lang */
function remember(lang) {
  try {
    localStorage.setItem(KEY, lang);
  } catch {
    return; // storage switched off: the choice lasts as long as the page
  }
}

export class Options {
  /** @param {HTMLFormElement} form */
  constructor(form) {
    this.form = form;
    this.language = /** @type {HTMLSelectElement} */ (form.elements.namedItem('language'));
    this.language.append(...Object.keys(LANGUAGES).map((code) => new Option(languageName(code), code)));
    this.language.value = remembered();
    this.language.addEventListener('change', () => remember(this.lang));
    form.addEventListener('submit', (event) => event.preventDefault());
    this.#closeLightly(/** @type {HTMLDetailsElement} */ (form.querySelector('details')));
  }

  /** The sheet goes away with Escape or a press elsewhere. @param {HTMLDetailsElement} more */
  #closeLightly(more) {
    document.addEventListener('pointerdown', ({ target }) => {
      if (target instanceof Node && !more.contains(target)) more.open = false;
    });
    more.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      more.open = false;
      more.querySelector('summary')?.focus();
    });
  }

  get lang() {
    return this.language.value;
  }

  /**
   * Offers only what the speech engine knows.
   * @param {string[]} allowed
   */
  limitLanguages(allowed) {
    for (const option of this.language.options) option.disabled = !allowed.includes(option.value);
  }

  /** @param {string} code */
  choose(code) {
    this.language.value = code;
    remember(code);
  }

  /**
   * Puts back an option that the speech engine does not know, and offers it no more.
   * @param {string} name
   * @param {unknown} value what it must be
   */
  withdraw(name, value) {
    const field = this.form.elements.namedItem(name);
    if (!(field instanceof HTMLInputElement)) return;
    if (field.type === 'checkbox') field.checked = value === true;
    else field.value = '';
    field.dataset.withdrawn = 'true';
    field.disabled = true;
  }

  /** @param {boolean} locked while a recording runs they cannot be changed */
  lock(locked) {
    for (const field of this.form.querySelectorAll('select, input, textarea')) {
      const input = /** @type {HTMLInputElement} */ (field);
      input.disabled = locked || input.dataset.withdrawn === 'true';
    }
  }

  /** @returns {import('./protocol.js').StreamOptions & {lang: string}} */
  read() {
    const ticked = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (this.form.elements.namedItem(name)).checked;
    const terms = /** @type {HTMLInputElement} */ (this.form.elements.namedItem('keyterm')).value;
    const keyterm = terms.split(',').map((term) => term.trim()).filter(Boolean).slice(0, MAX_KEYTERMS);
    return {
      lang: this.lang,
      encoding: 'linear16',
      sample_rate: SAMPLE_RATE_HZ,
      channels: 1,
      interim_results: true,
      punctuate: ticked('punctuate'),
      smart_format: ticked('punctuate'),
      ...(ticked('diarize') && { diarize: true }),
      ...(keyterm.length > 0 && { keyterm }),
    };
  }
}
