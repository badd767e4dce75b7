/** The token: given once, or asked for again whenever another is needed. */

export class Credential {
  /** @type {string | null} */
  #held = null;

  /** @param {string | (() => string | Promise<string>)} source */
  constructor(source) {
    this.source = source;
    if (typeof source === 'string') this.#held = source;
  }

  /** Whether another can be had without a person. */
  get renewable() {
    return typeof this.source === 'function';
  }

  /** @returns {Promise<string>} */
  async token() {
    this.#held ??= await this.#fresh();
    return this.#held;
  }

  /** Another one, which is not kept yet. */
  async #fresh() {
    return typeof this.source === 'function' ? this.source() : this.source;
  }

  /** @returns {Promise<string>} */
  another = () => this.#fresh();

  /** @param {string} token the service has taken it */
  keep(token) {
    this.#held = token;
  }

  /** The service does not take it any more. */
  forget() {
    if (this.renewable) this.#held = null;
  }
}
