/** What travels between the page and the service, and inside the page. Types only: never served. */

export interface Chunk {
  pcm: Int16Array<ArrayBuffer>;
  levels: number[];
}

export interface Source {
  kind: 'microphone' | 'sample';
  /** Spoken language, where it is known beforehand. */
  lang?: string;
  start(onChunk: (chunk: Chunk) => void, onEnd: () => void): Promise<void>;
  stop(): Promise<void>;
}

/** Options of a session: docs/PROTOCOL.md has all of them. */
export interface StreamOptions {
  lang?: string;
  model?: string;
  encoding?: string;
  sample_rate?: number;
  channels?: number;
  interim_results?: boolean;
  punctuate?: boolean;
  smart_format?: boolean;
  diarize?: boolean;
  multichannel?: boolean;
  keyterm?: string[];
  store?: boolean;
  /** Where the session publishes; a room of its own unless told. */
  room?: string;
  [option: string]: unknown;
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
  type: 'transcription';
  transcript: string;
  is_final: boolean;
  speech_final?: boolean;
  confidence: number;
  session_id: string;
  n: number;
  start_ms: number;
  end_ms: number;
  words?: Word[];
  speaker?: number;
  speakers_reset?: boolean;
  channel?: number;
  timing?: 'measured' | 'estimated';
  provider?: string;
  /** Said again after a resume. */
  recovered?: boolean;
  /** To viewers of a room; the place is that of a final. */
  room?: string;
  epoch?: number;
  offset?: number;
  timestamp?: string;
}

export interface SessionStarted {
  session_id: string;
  provider: string;
  model?: string;
  language: string;
  room?: string;
  /** Without it the session cannot be resumed. */
  resume_token?: string;
  resume_within_ms?: number;
  timestamp?: string;
}

export interface Resume {
  type: 'resume';
  session_id: string;
  resume_token: string;
  /** Number of the next new chunk: those before are kept. */
  next_seq: number;
  /** The last final that was seen. */
  last_n: number;
  /** The oldest chunk that is kept, and where it begins, if some were given up. */
  first_seq?: number;
  first_ms?: number;
}

export interface SessionResumed extends SessionStarted {
  /** Chunks from this on are sent again. */
  next_seq: number;
  /** What lies before is cut off by the service. */
  from_ms: number;
  /** The last final that counts: later ones are void. */
  last_n: number;
  recovered: boolean;
  /** It was stopped and is transcribed to its end: `streaming_stopped` follows. */
  stopped?: boolean;
  transcript?: string;
}

export interface AudioAck {
  session_id: string;
  acked_seq: number | null;
  acked_ms: number;
  timestamp?: string;
}

export interface Migrate {
  session_id: string;
  reconnect_after_ms: number;
  deadline_ms: number;
  timestamp?: string;
}

export interface Gap {
  session_id: string;
  /** Missing where the client itself has given up audio before a session. */
  n?: number;
  from_ms: number;
  to_ms: number;
  reason: 'client_buffer' | 'provider_away' | 'backfill_failed' | string;
  timestamp?: string;
}

export interface SessionReport {
  received_ms: number;
  transcribed_ms: number;
  lost_ms: number;
  lost: Record<string, number>;
}

export interface StreamingStopped {
  message: string;
  session_id?: string;
  report?: SessionReport;
  timestamp?: string;
}

export interface SessionEnded {
  room: string;
  session_id: string;
  n: number;
  outcome: string;
  report?: SessionReport;
  timestamp?: string;
}

export interface Joined {
  room: string;
  epoch: number;
  offset: number;
  /** Nothing is missing since the place that was given: what was missed follows. */
  recovered: boolean;
  reason?: string;
  transcript?: string;
  /** Without a recovery: the last finals as messages, and then the interim if there is one. */
  snapshot: (Transcription | Gap | SessionEnded)[];
  viewers: number;
}

export interface HistoryGap {
  room: string;
  reason?: string;
  transcript?: string;
}

export interface RoomStatus {
  room: string;
  degraded: boolean;
}

export interface Viewers {
  room: string;
  viewers: number;
}

export interface TokenExpiring {
  expires_at: string;
  expires_in_ms: number;
}

export interface Authenticated {
  user_id: string;
  auth_type: string;
  expires_at: string | null;
}

export interface ServiceError {
  message: string;
  code?: string;
  retryable?: boolean;
  retry_after_ms?: number;
  session_id?: string;
  /** For a room that is watched, or was to be. */
  room?: string;
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
  error?: ServiceError;
}
