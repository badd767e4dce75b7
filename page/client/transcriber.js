/** The client library: live transcription from a browser, or from Node.js 22 and later. */

import { Credential } from './credential.js';
import { Door } from './door.js';
import { Link } from './link.js';
import { Room } from './room.js';
import { BOUNDS, Stream } from './stream.js';
import { CLOCK } from './time.js';
import { Told } from './told.js';

const PASSED_ON = /** @type {const} */ (['state', 'token_expiring', 'authenticated', 'renewal_refused']);

/** @typedef {import('./transcriber.js').Transcriber} Face */

/**
 * @extends {Told<import('./transcriber.js').TranscriberEvents>}
 * @implements {Face}
 */
export class Transcriber extends Told {
  /** @type {Stream | null} */
  stream = null;

  /** @param {import('./transcriber.js').TranscriberOptions} options */
  constructor(options) {
    super();
    const { token = '', keep, clock = CLOCK, random = Math.random } = options;
    this.bounds = { ...BOUNDS, ...keep };
    this.link = new Link(new Door(options), new Credential(token), clock, random);
    for (const name of PASSED_ON) this.link.addEventListener(name, ({ detail }) => this.tell(name, detail));
  }

  get state() {
    return this.link.state;
  }

  /** Opens the socket, or opens it now instead of at the end of a wait. */
  connect() {
    this.link.open();
  }

  /** @param {import('../protocol.js').StreamOptions} [options] */
  start(options = {}) {
    if (this.stream && this.stream.phase !== 'ended') throw new Error('a stream is running');
    this.link.lang = options.lang;
    this.stream = new Stream(this.link, options, this.bounds);
    this.link.open();
    return this.stream;
  }

  /** @param {string} name @param {{share?: string}} [how] */
  join(name, { share } = {}) {
    const room = new Room(this.link, name, share);
    this.link.open();
    return room;
  }

  /** @param {string} token */
  authenticate(token) {
    this.link.authenticate(token);
  }

  close() {
    this.stream?.close();
    this.link.close();
  }
}
