// Streams of the floor: one file each, written and synced when a MiB waits or the stream is done;
// readers are told once a turn of the loop, whether they read or not. No rows, rules, tokens.
import { randomUUID } from 'node:crypto';
import { createReadStream, fdatasyncSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';

const FLUSH_BYTES = 1 << 20;
const files = new Map();

function flush(stream, isDone) {
  const data = Buffer.concat(stream.waiting);
  writeSync(stream.file, data);
  fdatasyncSync(stream.file);
  stream.flushed += data.length;
  stream.waiting = [];
  const told = { op: 'stream-flushed', 'stream-id': stream.id, offset: stream.flushed };
  stream.writer.send(JSON.stringify({ ...told, done: isDone }));
}

function tell(stream) {
  if (stream.isTelling) return;
  stream.isTelling = true;
  setImmediate(() => {
    const told = { op: 'stream-append', 'stream-id': stream.id, offset: stream.told };
    const content = stream.fresh.join('');
    const text = JSON.stringify({ ...told, content, ...(stream.isDone ? { done: true } : {}) });
    stream.isTelling = false;
    stream.fresh = [];
    stream.told = stream.end;
    for (const socket of stream.readers) socket.send(text);
  });
}

export const streamHandlers = {
  'start-stream'({ app, socket }, { 'client-id': name }) {
    const id = randomUUID();
    const place = path.join(app.dataDir, id);
    const stream = { id, place, writer: socket, file: openSync(place, 'wx'), readers: new Set() };
    Object.assign(stream, { flushed: 0, told: 0, end: 0, waiting: [], fresh: [], isDone: false });
    app.streams.set(id, stream).set(name, stream);
    files.set(id, stream);
    return { op: 'start-stream-ok', 'client-id': name, 'stream-id': id, offset: 0 };
  },
  'append-stream'({ app }, { 'stream-id': id, chunks, done }) {
    const stream = app.streams.get(id);
    const text = chunks.join('');
    const data = Buffer.from(text);
    stream.waiting.push(data);
    stream.end += data.length;
    stream.isDone = done === true;
    if (stream.end - stream.flushed >= FLUSH_BYTES || stream.isDone) flush(stream, stream.isDone);
    if (!stream.readers.size) stream.told = stream.end;
    else if (stream.fresh.push(text)) tell(stream);
  },
  'subscribe-stream'({ app, socket, host }, { 'client-id': name }) {
    const stream = app.streams.get(name);
    stream.readers.add(socket);
    const { id, flushed, waiting, isDone } = stream;
    const parts = [{ id, size: flushed, url: `http://${host}/parts/${id}` }];
    return {
      op: 'stream-append',
      'stream-id': id,
      offset: 0,
      ...(flushed ? { files: parts } : {}),
      content: Buffer.concat(waiting).toString(),
      ...(isDone ? { done: true } : {}),
    };
  },
};

export function unfollow({ app, socket }) {
  for (const stream of app?.streams.values() ?? []) stream.readers.delete(socket);
}

export function sendPart(request, response) {
  const { place, flushed } = files.get(request.url.split('/')[2]);
  response.setHeader('content-length', flushed);
  createReadStream(place, { highWaterMark: FLUSH_BYTES }).pipe(response);
}
