/** The little of socket.io-client that the page uses. */
export interface Engine {
  writeBuffer: unknown[];
  on(event: string, listener: (...args: any[]) => void): this;
}
export interface Socket {
  auth: { token: string };
  connected: boolean;
  io: { engine: Engine };
  connect(): this;
  disconnect(): this;
  on(event: string, listener: (...args: any[]) => void): this;
  off(): this;
  emit(event: string, ...args: unknown[]): this;
}
export function io(namespace: string, options: Record<string, unknown>): Socket;
