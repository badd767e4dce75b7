/** One press of Start until the last words have come: a source, and the stream that takes its audio. */

/** Dispatches `phase`, `chunk`, `problem`, and what the stream says: `session`, `resumed`, `transcription`, `void`, `gap`, `missing`, `sent`. */
export class Recording extends EventTarget {
  /** @type {'opening' | 'live' | 'stopping' | 'done'} */
  phase = 'opening';
  /** @type {import('./client/transcriber.js').Stream | null} */
  #stream = null;
  /** What was heard before there was a stream. @type {Int16Array<ArrayBuffer>[]} */
  #early = [];

  /**
   * @param {import('./client/transcriber.js').Transcriber} transcriber
   * @param {import('./protocol.js').Source} source
   * @param {import('./protocol.js').StreamOptions & {lang: string}} options
   */
  constructor(transcriber, source, options) {
    super();
    this.transcriber = transcriber;
    this.source = source;
    this.options = options;
  }

  /** Opens the source, then a stream; rejects when the source cannot be had. */
  async start() {
    try {
      await this.source.start((chunk) => this.#hear(chunk), () => void this.stop());
    } catch (error) {
      this.#finish();
      throw error;
    }
    if (this.phase !== 'opening') return this.source.stop();
    this.#enter('live');
    this.#stream = this.transcriber.start(this.options);
    this.#bind(this.#stream);
    for (const pcm of this.#early.splice(0)) this.#stream.send(pcm);
  }

  /** Ends the source and waits for the last words; a second call does not wait. */
  async stop() {
    if (this.phase !== 'live') return this.#finish();
    this.#enter('stopping');
    await this.source.stop();
    await this.#stream?.stop();
  }

  /** Whether a session takes the audio just now. */
  get streaming() {
    return this.phase === 'live' && this.#stream?.live === true;
  }

  /** @param {import('./client/transcriber.js').Stream} stream */
  #bind(stream) {
    for (const name of ['session', 'resumed', 'transcription', 'void', 'gap', 'missing', 'sent', 'problem']) {
      stream.addEventListener(name, (event) => this.#tell(name, /** @type {CustomEvent} */ (event).detail));
    }
    stream.addEventListener('ended', ({ detail }) => {
      if (detail.outcome === 'timeout') this.#tell('problem', { error: { message: 'the last words did not come in time', code: 'timeout' } });
      this.#finish();
    });
  }

  /** @param {import('./protocol.js').Chunk} chunk */
  #hear(chunk) {
    if (this.phase === 'done') return;
    if (this.#stream) this.#stream.send(chunk.pcm);
    else this.#early.push(chunk.pcm);
    this.#tell('chunk', chunk);
  }

  #finish() {
    if (this.phase === 'done') return;
    this.#enter('done');
    this.#stream?.close();
    void this.source.stop();
  }

  /** @param {Recording['phase']} phase */
  #enter(phase) {
    this.phase = phase;
    this.#tell('phase', phase);
  }

  /** @param {string} name @param {unknown} detail */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
