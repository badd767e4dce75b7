/** The microphone as a source of 16 kHz PCM chunks. */

import { SAMPLE_RATE_HZ } from './level.js';

const FLUSH_DEADLINE_MS = 500;

/** Why the microphone cannot be used; `reason` picks the text shown. */
export class MicrophoneError extends Error {
  /** @param {'insecure' | 'refused' | 'missing' | 'busy' | 'failed'} reason */
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/** @type {Record<string, 'refused' | 'missing' | 'busy'>} */
const REASONS = {
  NotAllowedError: 'refused',
  SecurityError: 'refused',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
  NotReadableError: 'busy',
  AbortError: 'busy',
};

async function requestStream() {
  if (!window.isSecureContext || !navigator.mediaDevices) throw new MicrophoneError('insecure');
  const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    throw new MicrophoneError(REASONS[name] ?? 'failed');
  }
}

/**
 * A context at 16 kHz, or at the device's own rate where the browser cannot mix rates.
 * @param {MediaStream} stream
 */
function openGraph(stream) {
  const wanted = new AudioContext({ sampleRate: SAMPLE_RATE_HZ, latencyHint: 'interactive' });
  try {
    return { context: wanted, input: wanted.createMediaStreamSource(stream) };
  } catch {
    void wanted.close();
    const context = new AudioContext({ latencyHint: 'interactive' });
    return { context, input: context.createMediaStreamSource(stream) };
  }
}

/** @typedef {import('./protocol.js').Source} Source */

/** @implements {Source} */
export class Microphone {
  kind = /** @type {const} */ ('microphone');
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {AudioWorkletNode | null} */
  #node = null;
  #flushed = () => {};

  /**
   * Asks for permission and starts; rejects with a MicrophoneError.
   * @param {(chunk: import('./protocol.js').Chunk) => void} onChunk
   * @param {() => void} onEnd the device was taken away
   */
  async start(onChunk, onEnd) {
    this.#stream = await requestStream();
    this.#stream.getAudioTracks()[0].addEventListener('ended', onEnd);
    try {
      await this.#connect(this.#stream, onChunk);
    } catch {
      await this.stop();
      throw new MicrophoneError('failed');
    }
  }

  /**
   * @param {MediaStream} stream
   * @param {(chunk: import('./protocol.js').Chunk) => void} onChunk
   */
  async #connect(stream, onChunk) {
    const { context, input } = openGraph(stream);
    this.#context = context;
    await context.audioWorklet.addModule(new URL('./worklet.js', import.meta.url));
    const node = new AudioWorkletNode(context, 'chunker', {
      numberOfOutputs: 1,
      channelCount: 1,
      channelCountMode: 'explicit',
    });
    node.port.onmessage = ({ data }) => (data ? onChunk(data) : this.#flushed());
    input.connect(node).connect(context.destination);
    this.#node = node;
    await context.resume();
  }

  /** Hands over the last samples, then lets the device go. */
  async stop() {
    const node = this.#node;
    if (node && this.#context?.state === 'running') {
      await new Promise((resolve) => {
        this.#flushed = () => resolve(undefined);
        setTimeout(resolve, FLUSH_DEADLINE_MS);
        node.port.postMessage('finish');
      });
    }
    node?.disconnect();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    await this.#context?.close();
    this.#node = this.#stream = this.#context = null;
  }
}
