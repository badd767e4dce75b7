/** Messages above the controls: one for each subject, newest first. */

/** @typedef {{label: string, act: () => void}} Action */

export class Notices {
  /** @type {Map<string, HTMLElement>} */
  #shown = new Map();

  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
  }

  /**
   * Shows a message, in place of an earlier one on the same subject; one that says the same stays.
   * @param {string} subject
   * @param {import('./messages.js').Message} message
   * @param {{actions?: Action[], forMs?: number}} [more]
   */
  show(subject, message, { actions = [], forMs } = {}) {
    const says = `${message.title} ${message.text ?? ''}`;
    if (!forMs && this.#shown.get(subject)?.dataset.says === says) return;
    const notice = document.createElement('div');
    notice.dataset.says = says;
    notice.className = 'notice';
    notice.dataset.tone = message.tone;
    notice.dataset.subject = subject;
    notice.setAttribute('role', message.tone === 'error' ? 'alert' : 'status');
    const words = document.createElement('p');
    const title = document.createElement('strong');
    title.textContent = message.title;
    words.append(title, message.text ? ` ${message.text}` : '');
    notice.append(words, ...actions.map((action) => this.#button(subject, action)));
    notice.append(this.#button(subject, { label: 'Dismiss', act: () => {} }));
    this.#shown.get(subject)?.remove();
    this.#shown.set(subject, notice);
    this.place.prepend(notice);
    if (forMs) setTimeout(() => this.#shown.get(subject) === notice && this.hide(subject), forMs);
  }

  /** @param {string} subject @param {Action} action */
  #button(subject, { label, act }) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = label;
    button.className = label === 'Dismiss' ? 'quiet dismiss' : 'quiet';
    button.addEventListener('click', () => {
      this.hide(subject);
      act();
    });
    return button;
  }

  /** @param {string[]} subjects */
  hide(...subjects) {
    for (const subject of subjects) {
      this.#shown.get(subject)?.remove();
      this.#shown.delete(subject);
    }
  }
}
