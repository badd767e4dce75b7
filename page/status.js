/** The connection's state in a few words. */

/** @type {Record<string, string>} */
const TEXTS = { closed: 'Not connected', connecting: 'Connecting', connected: 'Connected', rejected: 'Refused', live: 'Live' };

export class Status {
  #timer = 0;

  /** @param {HTMLElement} place @param {HTMLElement} text */
  constructor(place, text) {
    this.place = place;
    this.text = text;
  }

  /** @param {import('./protocol.js').ConnectionState | 'live'} state @param {number} [retryInMs] */
  show(state, retryInMs = 0) {
    clearInterval(this.#timer);
    this.place.dataset.state = state;
    if (state !== 'waiting') this.text.textContent = TEXTS[state];
    else this.#countDown(performance.now() + retryInMs);
  }

  /** @param {number} untilMs */
  #countDown(untilMs) {
    const write = () => {
      const seconds = Math.ceil((untilMs - performance.now()) / 1000);
      const text = seconds > 1 ? `Reconnecting in ${seconds} s` : 'Reconnecting';
      if (this.text.textContent !== text) this.text.textContent = text;
    };
    write();
    this.#timer = window.setInterval(write, 250);
  }
}
