/** An EventTarget whose events carry `detail`. */

export class Told extends EventTarget {
  /** @param {string} name @param {unknown} detail */
  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
