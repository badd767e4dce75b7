/** Audio that the service may still need: kept until it is durable there, within bounds, the oldest going first. */

/** @typedef {{index: number, startMs: number, endMs: number, bytes: Uint8Array<ArrayBuffer>}} Chunk times are of the whole stream */
/** @typedef {{seconds: number, bytes: number}} Bounds */
/** @typedef {{bytesPerMs: number, frameBytes: number}} Shape of raw audio */

/** @type {Record<string, number>} bytes of a sample */
const RAW = { linear16: 2, linear32: 4, mulaw: 1, alaw: 1 };
/** Longer pieces are cut: a message has a limit. */
const PIECE_BYTES = 64_000;

/**
 * How bytes and time belong together; null for audio that is not raw.
 * @param {Record<string, unknown>} options of the session
 * @returns {Shape | null}
 */
export function shapeOf({ encoding = 'linear16', sample_rate: rate = 16_000, channels = 1 }) {
  const sampleBytes = RAW[String(encoding)];
  if (!sampleBytes) return null;
  const frameBytes = sampleBytes * Number(channels);
  return { frameBytes, bytesPerMs: (frameBytes * Number(rate)) / 1000 };
}

export class Backlog {
  /** @type {Chunk[]} */
  #chunks = [];
  #bytes = 0;
  #end = 0;
  #endMs = 0;
  #originMs = 0;
  /** Chunks before this index are durable. */
  #durable = 0;
  /** Index of the chunk that is sent next. */
  #next = 0;
  /** Audio before this needs no session any more: it has a final, or is durable. */
  #settledMs = 0;

  /** @param {Shape | null} shape @param {Bounds} bounds @param {import('./time.js').Clock} clock */
  constructor(shape, bounds, clock) {
    this.shape = shape;
    this.bounds = bounds;
    this.clock = clock;
  }

  /** @param {Uint8Array<ArrayBuffer>} audio */
  push(audio) {
    const frame = this.shape?.frameBytes ?? 1;
    const most = PIECE_BYTES - (PIECE_BYTES % frame);
    for (let at = 0; at < audio.length; at += most) this.#keep(audio.slice(at, at + most));
    while (this.#isOver()) this.#drop();
  }

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  #keep(bytes) {
    const startMs = this.#endMs;
    if (this.#end === 0) this.#originMs = this.clock.nowMs();
    // What is not raw is timed by the clock: nobody but the service can say how long it is.
    this.#endMs = this.shape ? startMs + bytes.length / this.shape.bytesPerMs : this.clock.nowMs() - this.#originMs;
    this.#chunks.push({ index: this.#end, startMs, endMs: this.#endMs, bytes });
    this.#end += 1;
    this.#bytes += bytes.length;
  }

  #isOver() {
    const heldMs = this.#endMs - (this.#chunks[0]?.startMs ?? this.#endMs);
    return this.#chunks.length > 1 && (heldMs > this.bounds.seconds * 1000 || this.#bytes > this.bounds.bytes);
  }

  #drop() {
    const chunk = this.#chunks.shift();
    this.#bytes -= chunk?.bytes.length ?? 0;
  }

  /** The next chunk to send. @returns {Chunk | null} */
  take() {
    const chunk = this.#chunks[this.#next - this.first];
    if (!chunk) return null;
    this.#next += 1;
    return chunk;
  }

  /** Chunks before this index are durable. @param {number} index */
  forget(index) {
    this.#durable = Math.max(this.#durable, Math.min(index, this.#next));
    while (this.#chunks.length > 0 && this.#chunks[0].index < this.#durable) {
      this.settle(this.#chunks[0].endMs);
      this.#drop();
    }
  }

  /** Audio up to here has a final: another session need not hear it. @param {number} untilMs */
  settle(untilMs) {
    this.#settledMs = Math.max(this.#settledMs, Math.min(untilMs, this.#endMs));
  }

  /** What was said after that is void: it is not settled any more. @param {number} fromMs */
  unsettle(fromMs) {
    this.#settledMs = Math.min(this.#settledMs, Math.max(fromMs, 0));
  }

  /** Whether another session would have nothing to hear. */
  get settled() {
    return this.#settledMs >= this.#endMs;
  }

  /** Sends again from that chunk on; false if it is not held any more. @param {number} index */
  rewind(index) {
    if (index < this.first || index > this.#end) return false;
    this.#next = index;
    return true;
  }

  /** Another session begins: with what is not settled; gives what is lost of that, in milliseconds. */
  restart() {
    while (this.#chunks.length > 0 && this.#chunks[0].endMs <= this.#settledMs) this.#drop();
    this.#cut();
    this.#next = this.#durable = this.first;
    return Math.max(0, this.startMs - this.#settledMs);
  }

  /** Takes off the settled part of the first chunk. */
  #cut() {
    const [chunk] = this.#chunks;
    if (!chunk || !this.shape || chunk.startMs >= this.#settledMs) return;
    const { bytesPerMs, frameBytes } = this.shape;
    const frames = Math.floor(((this.#settledMs - chunk.startMs) * bytesPerMs) / frameBytes);
    const bytes = chunk.bytes.slice(frames * frameBytes);
    this.#bytes -= chunk.bytes.length - bytes.length;
    this.#chunks[0] = { ...chunk, bytes, startMs: chunk.startMs + (frames * frameBytes) / bytesPerMs };
  }

  /** Index of the oldest chunk that is held; of the next if there is none. */
  get first() {
    return this.#chunks[0]?.index ?? this.#end;
  }

  /** Where the oldest chunk begins. */
  get startMs() {
    return this.#chunks[0]?.startMs ?? this.#endMs;
  }

  /** Whether audio is gone that the service may still need. */
  get overflowed() {
    return this.first > this.#durable;
  }

  /** Whether audio is gone that was to be sent next: numbers would not fit any more. */
  get skipped() {
    return this.first > this.#next;
  }

  /** Index of the chunk that comes next. */
  get end() {
    return this.#end;
  }

  /** Audio so far, in milliseconds. */
  get endMs() {
    return this.#endMs;
  }

  /** Chunks that wait to be sent. */
  get waiting() {
    return this.#end - this.#next;
  }
}
