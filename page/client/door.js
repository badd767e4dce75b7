/** Where sockets are opened: the address, and a ticket for each, since a browser's WebSocket takes no token. */

/** Why no socket was opened, in the service's words where it said any. */
export class Refusal extends Error {
  /** @param {import('../protocol.js').ServiceError} error */
  constructor(error) {
    super(error.message);
    this.error = error;
  }
}

/** @param {Response} answer */
async function refusal(answer) {
  /** @type {any} */
  const body = await answer.json().catch(() => ({}));
  const seconds = Number(answer.headers.get('retry-after'));
  const retry = seconds > 0 ? { retry_after_ms: seconds * 1000 } : {};
  const message = typeof body?.error === 'string' ? body.error : `the service answered ${answer.status}`;
  return new Refusal({ message, code: body?.code, retryable: body?.retryable, ...retry });
}

export class Door {
  /** @param {import('./transcriber.js').TranscriberOptions} options */
  constructor({ url, share, fetch: ask = globalThis.fetch.bind(globalThis), openSocket }) {
    this.url = new URL(url);
    this.share = share;
    this.ask = ask;
    this.openSocket = openSocket;
  }

  /**
   * A socket that is being opened; rejects with a {@link Refusal} where the service says why not.
   * @param {string} token
   * @param {string | undefined} lang
   * @param {AbortSignal} signal
   * @returns {Promise<WebSocket>}
   */
  async open(token, lang, signal) {
    const address = this.#address(lang);
    if (this.openSocket) return this.openSocket(address, token);
    if (this.share !== undefined) return new WebSocket(address, ['share', this.share]);
    const ticket = await this.#ticket(token, signal);
    return new WebSocket(address, ['ticket', ticket]);
  }

  /** @param {string | undefined} lang */
  #address(lang) {
    const address = new URL('/audio-stream', this.url);
    address.protocol = this.url.protocol === 'https:' ? 'wss:' : 'ws:';
    if (lang) address.searchParams.set('lang', lang);
    return address.href;
  }

  /** @param {string} token @param {AbortSignal} signal @returns {Promise<string>} */
  async #ticket(token, signal) {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await this.ask(new URL('/auth/stream-ticket', this.url), { method: 'POST', headers, signal });
    if (!answer.ok) throw await refusal(answer);
    return (await answer.json()).ticket;
  }
}
