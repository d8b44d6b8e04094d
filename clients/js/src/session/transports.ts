/** How a connection is made: by WebSocket, or by an event stream with pushes over HTTP. */
export type Transport = 'websocket' | 'events';

/** After so many WebSockets in a row that opened no session, an event stream is tried. */
const SOCKETS_FIRST = 2;

/**
 * Which transport the next attempt uses. No I/O.
 *
 * Some networks let no WebSocket through, so after two that came to nothing attempts alternate; the
 * transport that opened a session is the first choice from then on.
 */
export class Transports {
  #preferred: Transport = 'websocket';
  /** Attempts since a session was open. */
  #attempts = 0;

  /** The transport of the next attempt. */
  next(): Transport {
    const attempt = this.#attempts++;
    if (this.#preferred === 'events') return attempt % 2 === 0 ? 'events' : 'websocket';
    return attempt >= SOCKETS_FIRST && attempt % 2 === 0 ? 'events' : 'websocket';
  }

  /** A session is open over `transport`. */
  succeeded(transport: Transport): void {
    this.#preferred = transport;
    this.#attempts = 0;
  }

  /** The network may be another one: WebSockets are tried first again. */
  reset(): void {
    this.#preferred = 'websocket';
    this.#attempts = 0;
  }
}
