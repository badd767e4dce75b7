/** Types of the client library. What travels on the wire is in ../protocol.d.ts. */

import type {
  AudioAck,
  Authenticated,
  ConnectionState,
  Gap,
  HistoryGap,
  Joined,
  RoomStatus,
  ServiceError,
  SessionEnded,
  SessionReport,
  SessionResumed,
  SessionStarted,
  StateChange,
  StreamOptions,
  TokenExpiring,
  Transcription,
  Viewers,
} from '../protocol.js';
import { Told } from './told.js';

/** Where something is in the whole stream: `base_ms` plus its time in the session. */
export interface Placed {
  base_ms: number;
}

export interface TranscriberOptions {
  /** Where the service is, such as `https://speech.example`. */
  url: string | URL;
  /** A token, or what fetches one: it is called again whenever another is needed. */
  token?: string | (() => string | Promise<string>);
  /** A share token in its place: it opens one room to watch, and nothing else. */
  share?: string;
  /** How much audio is kept for a loss; 120 s and 8 MiB unless told. */
  keep?: { seconds?: number; bytes?: number };
  /** Opens sockets where headers can be sent, so that no ticket is needed. */
  openSocket?: (address: string, token: string) => WebSocket;
  /** For tests. */
  fetch?: (address: URL, request: RequestInit) => Promise<Response>;
  clock?: { nowMs(): number; after(ms: number, act: () => void): () => void };
  random?: () => number;
}

/** How a stream ended. Only `finished` says that every word has come. */
export interface StreamEnd {
  outcome: 'finished' | 'closed' | 'timeout' | 'failed' | 'refused' | 'replaced';
  report?: SessionReport;
  error?: ServiceError;
}

export interface StreamEvents {
  /** A session has begun. `restarted` says why another was needed; what no final covered is sent again. */
  session: SessionStarted & Placed & { restarted: string | null };
  /** The session goes on, on another socket. */
  resumed: SessionResumed;
  /** Interim and final text: finals in order, each once. */
  transcription: Transcription & Placed;
  /** Finals after `after_n` are taken back, and will be said again. */
  void: { session_id: string; after_n: number };
  /** Audio that has no transcript. */
  gap: Gap & Placed;
  /** Finals that were said and cannot be told again; `transcript` is where they may be stored. */
  missing: { session_id: string; from_n: number; to_n: number; transcript?: string };
  /** Something went wrong; `retryInMs` where it is tried again. */
  problem: { error: ServiceError; retryInMs?: number };
  /** A chunk went to the service, for the first time or again. */
  sent: Placed & { end_ms: number };
  ended: StreamEnd;
}

export interface RoomEvents {
  joined: Joined;
  transcription: Transcription;
  gap: Gap;
  session_ended: SessionEnded;
  viewers: Viewers;
  /** Whether what is said comes late; nothing is lost by that. */
  room_status: RoomStatus;
  /** What was said before is missing here; `transcript` is where it may be stored. */
  missing: HistoryGap;
  /** The room may not be watched, or no longer. */
  refused: ServiceError;
}

export interface TranscriberEvents {
  state: StateChange;
  token_expiring: TokenExpiring;
  authenticated: Authenticated;
  renewal_refused: ServiceError;
}

/** What one speaker says from start to stop, over as many sockets and sessions as it takes. */
export declare class Stream extends Told<StreamEvents> {
  readonly phase: 'waiting' | 'starting' | 'resuming' | 'live' | 'ended';
  /** Whether the service takes its audio just now; what is sent meanwhile is kept. */
  readonly live: boolean;
  /** Resolves once it is over, whatever the outcome. */
  readonly ended: Promise<StreamEnd>;
  /** The next audio, in order; it is copied. */
  send(audio: ArrayBuffer | ArrayBufferView<ArrayBuffer>): void;
  /** Ends it once everything is said, or after so long. */
  stop(limits?: { withinMs?: number }): Promise<StreamEnd>;
  /** Ends it now: words that have not come are not waited for. */
  close(): void;
}

/** A room that is watched, until it is left. */
export declare class Room extends Told<RoomEvents> {
  readonly name: string;
  leave(): void;
}

/** One socket to the service, kept: at most one stream at a time, and any number of rooms. */
export declare class Transcriber extends Told<TranscriberEvents> {
  constructor(options: TranscriberOptions);
  readonly state: ConnectionState;
  /** The stream that runs, or ran last. */
  readonly stream: Stream | null;
  /** Opens the socket, or opens it now instead of at the end of a wait. */
  connect(): void;
  /** Begins a stream; throws while another runs. Connects if need be. */
  start(options?: StreamOptions): Stream;
  /** Watches a room. Connects if need be. */
  join(name: string, how?: { share?: string }): Room;
  /** Gives another token of the same user, beside whatever runs. */
  authenticate(token: string): void;
  /** Ends everything. */
  close(): void;
}

export type { AudioAck, Gap, Joined, ServiceError, SessionEnded, SessionResumed, SessionStarted, StateChange, StreamOptions, Transcription };
