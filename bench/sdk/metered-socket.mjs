// A WebSocket for the clients under test that notes when frames come, and their bytes.
import { WebSocket } from 'ws';

/** frameAt: when the handler of the newest frame began. */
export const meter = { frameAt: 0, sockets: new Set() };

export class MeteredSocket extends WebSocket {
  constructor(url) {
    super(url, { maxPayload: 1 << 28 });
    meter.sockets.add(this);
  }

  get onmessage() {
    return super.onmessage;
  }

  set onmessage(handle) {
    super.onmessage = (event) => {
      meter.frameAt = performance.now();
      handle(event);
    };
  }
}

/** Bytes that came over all sockets so far, compressed as they travel. */
export function receivedBytes() {
  let sum = 0;
  // A closed socket forgets its stream, so the number is kept beside it.
  for (const socket of meter.sockets) {
    socket.bytes = socket._socket?.bytesRead ?? socket.bytes ?? 0;
    sum += socket.bytes;
  }
  return sum;
}

/** Breaks every connection off, as a network does. */
export function breakOff() {
  receivedBytes();
  for (const socket of meter.sockets) socket.terminate();
}
