/** What travels between the page and the service, and inside the page. Types only: never served. */

export interface Chunk {
  pcm: Int16Array;
  levels: number[];
}

export interface Source {
  kind: 'microphone' | 'sample';
  /** Spoken language, where it is known beforehand. */
  lang?: string;
  start(onChunk: (chunk: Chunk) => void, onEnd: () => void): Promise<void>;
  stop(): Promise<void>;
}

export interface StreamOptions {
  lang: string;
  encoding: 'linear16';
  sample_rate: number;
  channels: 1;
  interim_results: boolean;
  punctuate: boolean;
  smart_format: boolean;
  diarize?: boolean;
  keyterm?: string[];
}

export interface Word {
  word: string;
  punctuated_word?: string;
  start_ms: number;
  end_ms: number;
  confidence: number;
  speaker?: number;
}

export interface Transcription {
  transcript: string;
  is_final: boolean;
  speech_final?: boolean;
  confidence: number;
  session_id: string;
  n: number;
  start_ms: number;
  end_ms: number;
  words?: Word[];
  provider?: string;
}

export interface SessionStarted {
  session_id: string;
  provider: string;
  model?: string;
  language: string;
}

export interface ServiceError {
  message: string;
  code?: string;
  retryable?: boolean;
  option?: string;
  allowed?: unknown[];
}

export interface Closing {
  code: number;
  reason: string;
  reconnect: boolean;
  reconnect_after_ms?: number;
}

export type ConnectionState = 'closed' | 'connecting' | 'connected' | 'waiting' | 'rejected';

export interface StateChange {
  state: ConnectionState;
  retryInMs?: number;
  reason?: string;
}
