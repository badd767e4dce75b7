/** Keeps one socket to the service: makes it again when it is lost, on its own terms, and renews its token. */

import { CAP_MS, URGENT_CAP_MS, fullJitterMs } from './backoff.js';
import { Alarm } from './time.js';
import { Told } from './told.js';
import { Wire } from './wire.js';

const STABLE_MS = 5_000;
/** What another token mends. */
const TOKEN_ENDS = ['token_expired', 'unauthenticated'];
/** What may be said to a token that is to take the place of another. */
const RENEWAL_ERRORS = ['unauthenticated', 'principal_mismatch', 'rate_limited', 'timeout', 'database_unavailable', 'dependency_unavailable'];

/** @typedef {import('./wire.js').End} End */

/** @typedef {import('./transcriber.js').TranscriberEvents & {wire: null, message: any}} LinkEvents `wire`: another socket is in use */

/** @extends {Told<LinkEvents>} */
export class Link extends Told {
  /** @type {import('../protocol.js').ConnectionState} */
  state = 'closed';
  /** Someone is speaking: waits are shorter. */
  urgent = false;
  /** Another socket has been asked to take over: the end of this one is no loss. */
  moving = false;
  /** Language that sockets are opened with. @type {string | undefined} */
  lang;
  /** @type {Wire | null} */
  wire = null;
  /** @type {Map<Wire, string>} tokens that are being looked at in place of the present one */
  #renewals = new Map();
  #attempt = 0;
  #greetedAtMs = Infinity;
  /** Another token was fetched because the last was refused, and has not proved itself. */
  #mending = false;
  #alarm;

  /** @param {import('./door.js').Door} door @param {import('./credential.js').Credential} credential @param {import('./time.js').Clock} clock @param {() => number} random */
  constructor(door, credential, clock, random) {
    super();
    this.door = door;
    this.credential = credential;
    this.clock = clock;
    this.random = random;
    this.#alarm = new Alarm(clock);
  }

  get ready() {
    return this.wire?.greeted === true;
  }

  /** Connects now, be it in the midst of a wait. */
  open() {
    if (this.wire) return;
    this.#alarm.clear();
    this.#greetedAtMs = Infinity;
    this.wire = this.#dial(() => this.#greeted(), () => {}, () => {});
    this.#enter({ state: 'connecting' });
  }

  close() {
    this.#alarm.clear();
    this.wire?.leave();
    this.#wireGone();
    this.#attempt = 0;
    if (this.state !== 'closed') this.#enter({ state: 'closed' });
  }

  /** Takes the socket for lost, and makes another. */
  drop() {
    this.wire?.drop();
  }

  /**
   * Opens another socket beside the present one, which stays in use until `adopt`.
   * @param {import('./wire.js').Hooks} hooks
   */
  spare({ greeted, heard, ended }) {
    return this.#dial(greeted, heard, ended);
  }

  /** Uses a spare socket from now on, and leaves the old one. @param {Wire} wire */
  adopt(wire) {
    this.wire?.leave();
    this.#wireGone();
    this.wire = wire;
    this.#greeted();
  }

  /** A spare socket came to nothing. */
  settle() {
    this.moving = false;
    if (!this.wire && this.state === 'connected') this.#wait({});
  }

  /** Gives another token of the same user, beside whatever runs. @param {string} token @param {Wire | null} [wire] */
  authenticate(token, wire = this.wire) {
    if (!wire?.greeted) return this.credential.keep(token);
    this.#renewals.set(wire, token);
    wire.send({ type: 'authenticate', token });
  }

  /** @param {() => void} greeted @param {(message: any) => void} heard @param {(end: End) => void} ended */
  #dial(greeted, heard, ended) {
    /** @type {Wire} */
    const wire = new Wire(this.clock, {
      greeted,
      heard: (message) => {
        if (this.#tended(wire, message)) return;
        if (wire === this.wire) this.tell('message', message);
        else heard(message);
      },
      ended: (end) => (wire === this.wire ? this.#ended(end) : ended(end)),
    });
    void wire.open(this.door, () => this.credential.token(), this.lang);
    return wire;
  }

  #greeted() {
    this.#greetedAtMs = this.clock.nowMs();
    this.#mending = false;
    this.moving = false;
    this.tell('wire', null);
    if (this.state !== 'connected') this.#enter({ state: 'connected' });
  }

  /** What is about the token is not about a session. @param {Wire} wire @param {any} message */
  #tended(wire, message) {
    const renewal = this.#renewals.get(wire);
    if (message.type === 'token_expiring') {
      this.tell('token_expiring', message);
      void this.#renew(wire);
    } else if (message.type === 'authenticated') {
      if (renewal !== undefined) this.credential.keep(renewal);
      this.#renewals.delete(wire);
      this.tell('authenticated', message);
    } else if (message.type === 'error' && renewal !== undefined && RENEWAL_ERRORS.includes(message.code)) {
      this.#renewals.delete(wire);
      this.tell('renewal_refused', message);
    } else return false;
    return true;
  }

  /** @param {Wire} wire */
  async #renew(wire) {
    if (!this.credential.renewable) return;
    try {
      this.authenticate(await this.credential.another(), wire);
    } catch (error) {
      this.tell('renewal_refused', { message: String(error), code: 'unauthenticated', retryable: true });
    }
  }

  #wireGone() {
    if (this.wire) this.#renewals.delete(this.wire);
    this.wire = null;
  }

  /** @param {End} end */
  #ended(end) {
    const { farewell, error } = end;
    this.#wireGone();
    if (this.moving) return;
    if (this.clock.nowMs() - this.#greetedAtMs > STABLE_MS) this.#attempt = 0;
    const reason = farewell?.reason ?? error?.code;
    if (reason !== undefined && TOKEN_ENDS.includes(reason)) return this.#tokenEnded(end);
    if (reason === 'credential_revoked' || error?.retryable === false) this.#enter({ state: 'rejected', reason, error });
    else if (farewell?.reconnect === false) this.#enter({ state: 'closed', reason });
    else this.#wait(end);
  }

  /** @param {End} end */
  #tokenEnded({ farewell, error }) {
    this.credential.forget();
    if (!this.credential.renewable || this.#mending) this.#enter({ state: 'rejected', reason: farewell?.reason ?? error?.code, error });
    else {
      this.#mending = true;
      this.#wait({ farewell });
    }
  }

  /** @param {End} end */
  #wait({ farewell, error }) {
    const jitterMs = fullJitterMs(this.#attempt, this.urgent ? URGENT_CAP_MS : CAP_MS, this.random);
    const retryInMs = (farewell?.reconnect_after_ms ?? error?.retry_after_ms ?? 0) + jitterMs;
    this.#attempt += 1;
    this.#alarm.set(retryInMs, () => this.open());
    this.#enter({ state: 'waiting', retryInMs, reason: farewell?.reason ?? error?.message });
  }

  /** @param {import('../protocol.js').StateChange} change */
  #enter(change) {
    this.state = change.state;
    this.tell('state', change);
  }
}
