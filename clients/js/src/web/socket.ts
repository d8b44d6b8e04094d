import { fetchLater } from '../client/code.ts';
import type { Socket, SocketHandlers } from '../client/environment.ts';
import type { EventGlobals } from './events.ts';

/** A WebSocket of the platform, as far as it is needed. */
export interface WebSocketLike {
  readonly readyState: number;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  onerror: (() => void) | null;
  send(text: string): void;
  close(): void;
}

const OPEN = 1;

/** As browsers close a WebSocket that could not be opened. */
export const LOST = 1006;

/** A WebSocket that is being opened, as the client uses it. */
export function openSocket(socket: WebSocketLike, handlers: SocketHandlers): Socket {
  socket.onopen = () => handlers.opened();
  socket.onmessage = ({ data }) => handlers.message(String(data));
  socket.onclose = ({ code }) => handlers.closed(code);
  socket.onerror = () => {};
  return {
    send: (text) => {
      if (socket.readyState === OPEN) socket.send(text);
    },
    close: () => socket.close(),
  };
}

/** Opens an event stream once its code is here. */
export function openEventsLater<Piece>(
  globals: EventGlobals<Piece>,
  url: string,
  handlers: SocketHandlers,
): Socket {
  let socket: Socket | null = null;
  let isClosed = false;
  const closed = () => {
    if (!isClosed) handlers.closed(LOST);
    isClosed = true;
  };
  fetchLater().then(({ openEvents }) => {
    if (!isClosed) socket = openEvents(globals, url, handlers);
  }, closed);
  return {
    send: (text) => socket?.send(text),
    close: () => (socket ? socket.close() : closed()),
  };
}
