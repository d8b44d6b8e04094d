/** Streams of the simulation's server, by brute force: all text is kept, in chunks. */
import { Buffer } from 'node:buffer';
import type { FetchAnswer } from '../../src/client/environment.ts';
import type { Random } from '../support/random.ts';
import type { Member } from './rooms.ts';

type Message = Record<string, unknown>;

interface Stream {
  readonly id: string;
  readonly token: unknown;
  writer: Member | null;
  /** Durable parts, then chunks that are not durable. */
  parts: string[];
  chunks: string[];
  isDone: boolean;
  reason?: unknown;
  readonly readers: Map<string, Member>;
}

const bytesOf = (texts: readonly string[]) => Buffer.byteLength(texts.join(''));

export class Streams {
  readonly streams = new Map<string, Stream>();
  /** Bytes that wait before they are stored. */
  flushBytes = 40;
  /** How likely storing fails, and the fetch of a part. */
  failChance = 0;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** All of a stream's text. */
  text(name: string): string {
    const { parts, chunks } = this.streams.get(name)!;
    return [...parts, ...chunks].join('');
  }

  receive(member: Member, message: Message): boolean {
    const id = { 'client-event-id': message['client-event-id'] };
    const refuse = (text: string) =>
      member.send({
        ...{ op: 'error', ...id, type: 'validation-failed', message: text },
        'original-event': message,
      });
    switch (message.op) {
      case 'start-stream':
        this.#start(member, message, id, refuse);
        return true;
      case 'append-stream':
        this.#append(member, message, refuse);
        return true;
      case 'subscribe-stream':
        this.#subscribe(member, message, id, refuse);
        return true;
      case 'unsubscribe-stream':
        for (const { readers } of this.streams.values())
          readers.delete(message['subscribe-event-id'] as string);
        return true;
      default:
        return false;
    }
  }

  /** A session ended: what it wrote is stored, what it read ends. */
  left(member: Member): void {
    for (const stream of this.streams.values()) {
      if (stream.writer === member) {
        stream.writer = null;
        this.#store(stream);
      }
      for (const [id, reader] of stream.readers) if (reader === member) stream.readers.delete(id);
    }
  }

  /** A part, as its address gives it. */
  fetch = async (url: string): Promise<FetchAnswer> => {
    if (this.#random.chance(this.failChance)) throw new Error('cut off');
    const [, name, part] = new URL(url).pathname.split('/');
    const text = this.streams.get(name!)!.parts[Number(part)]!;
    // `text()` of the platform takes a mark of byte order away.
    return { status: 200, text: async () => text.replace(/^\ufeff/, '') };
  };

  #start(member: Member, message: Message, id: Message, refuse: (text: string) => void): void {
    const name = message['client-id'] as string;
    const token = message['reconnect-token'];
    let stream = this.streams.get(name);
    if (stream && stream.token !== token) return refuse('Reconnect token is invalid.');
    if (stream?.isDone) return refuse('Stream is closed.');
    if (!stream) {
      const [parts, chunks, readers] = [[], [], new Map<string, Member>()];
      stream = {
        ...{ id: this.#random.uuid(), token, writer: member, parts, chunks, readers },
        isDone: false,
      };
      this.streams.set(name, stream);
    }
    stream.writer = member;
    // Nothing is kept but what is durable.
    stream.chunks = [];
    const offset = bytesOf(stream.parts);
    member.send({
      op: 'start-stream-ok',
      ...id,
      'client-id': name,
      'stream-id': stream.id,
      offset,
    });
  }

  #append(member: Member, message: Message, refuse: (text: string) => void): void {
    const stream = [...this.streams.values()].find(({ id }) => id === message['stream-id'])!;
    if (stream.writer !== member) return refuse('Stream is missing.');
    if (stream.isDone) return refuse('Stream is completed.');
    const end = bytesOf([...stream.parts, ...stream.chunks]);
    if (message.offset !== end) return refuse('Invalid offset for stream.');
    const chunks = message.chunks as string[];
    stream.chunks.push(...chunks);
    const isFull = bytesOf(stream.chunks) >= this.flushBytes;
    if ((isFull || message.done) && this.#random.chance(this.failChance)) {
      stream.chunks.splice(-chunks.length || stream.chunks.length);
      stream.writer = null;
      return member.send({ op: 'append-failed', 'stream-id': stream.id });
    }
    stream.isDone = message.done as boolean;
    stream.reason = message['abort-reason'];
    const told = { content: chunks.join(''), offset: end };
    for (const [id, reader] of stream.readers) this.#tell(stream, reader, id, told);
    if (stream.isDone) stream.readers.clear();
    if (isFull || message.done) {
      this.#store(stream);
      const flushed = { offset: bytesOf(stream.parts), done: stream.isDone };
      member.send({ op: 'stream-flushed', 'stream-id': stream.id, ...flushed });
    }
  }

  #store(stream: Stream): void {
    if (stream.chunks.length > 0) stream.parts.push(stream.chunks.splice(0).join(''));
  }

  #subscribe(member: Member, message: Message, id: Message, refuse: (text: string) => void): void {
    const name = message['client-id'] as string;
    const stream = this.streams.get(name);
    if (!stream) return refuse('Stream is missing.');
    const eventId = id['client-event-id'] as string;
    // It begins with the part, or the chunk, that has the byte.
    let [offset, part] = [0, 0];
    for (; part < stream.parts.length; part++) {
      const end = offset + bytesOf([stream.parts[part]!]);
      if (end > (message.offset as number)) break;
      offset = end;
    }
    const files = stream.parts.slice(part).map((text, n) => ({
      url: `http://parts/${name}/${part + n}`,
      size: bytesOf([text]),
    }));
    if (!stream.isDone) stream.readers.set(eventId, member);
    this.#tell(stream, member, eventId, { offset, files, content: stream.chunks.join('') });
  }

  #tell(stream: Stream, reader: Member, eventId: string, told: Message): void {
    const done = stream.isDone ? { done: true } : {};
    const named = { 'client-event-id': eventId, 'stream-id': stream.id };
    reader.send({ op: 'stream-append', ...named, ...told, ...done });
  }
}
