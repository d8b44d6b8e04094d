/** Files of the simulation's server: resumable uploads, whose requests may be cut. */
import type { FetchAnswer, FetchInit } from '../../src/client/environment.ts';
import type { Random } from '../support/random.ts';
import { type Clock, delayMs } from './clock.ts';

interface Partial {
  readonly length: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly token: string | undefined;
  bytes: Uint8Array;
  fileId: string | null;
  tx: number | null;
}

export interface StoredFile {
  readonly id: string;
  readonly bytes: Uint8Array;
  readonly metadata: Readonly<Record<string, string>>;
}

export class Files {
  /** Files by path. */
  readonly stored = new Map<string, StoredFile>();
  readonly partials = new Map<string, Partial>();
  /** Paths, each as often as a file of it was stored. */
  readonly log: string[] = [];
  /** The transaction that stored the last file. */
  #tx: number | null = null;
  /** Requests that came, as `METHOD route`, and the bytes of their bodies. */
  readonly requests: { name: string; bytes: number }[] = [];
  isUp = true;
  /** How likely a request is cut: before, within, or after its work. */
  cutChance = 0;
  /** A server of another make, without resumable uploads. */
  hasTus = true;
  refusal: { status: number; body: object } | null = null;
  /** The server takes ids that the client chose, and tells transactions. */
  takesIds = true;
  /** Writes the row of a stored file; returns the transaction. */
  onStored: (path: string, file: StoredFile) => number | null = () => null;
  /** Requests that are answered now, and the most of them at once. */
  #underWay = 0;
  atOnce = 0;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** isGone  whether who asked is dead: what of it did not arrive before is lost */
  fetch = async (
    address: string,
    init: FetchInit,
    isGone: () => boolean = () => false,
  ): Promise<FetchAnswer> => {
    const { pathname, searchParams } = new URL(address);
    this.atOnce = Math.max(this.atOnce, ++this.#underWay);
    await this.#delay();
    this.#underWay--;
    const cut = this.#random.chance(this.cutChance) ? this.#random.below(3) : null;
    if (!this.isUp || cut === 0 || isGone()) throw new Error('cut off');
    const body = init.body instanceof Uint8Array ? init.body : new Uint8Array();
    this.requests.push({ name: `${init.method} ${pathname.split('/')[2]}`, bytes: body.length });
    const part = cut === 1 ? body.slice(0, this.#random.below(body.length + 1)) : body;
    const answer = this.refusal
      ? answerOf(this.refusal.status, {}, this.refusal.body)
      : this.#handle(pathname, searchParams, init, part);
    if (cut !== null) throw new Error('cut off');
    return answer;
  };

  #delay(): Promise<void> {
    return new Promise((resolve) => void this.#clock.timer(delayMs(this.#random), resolve));
  }

  #handle(path: string, names: URLSearchParams, init: FetchInit, body: Uint8Array): FetchAnswer {
    const { headers } = init;
    if (path === '/storage/files') {
      const id = this.stored.get(names.get('filename')!)?.id ?? null;
      this.stored.delete(names.get('filename')!);
      return answerOf(200, {}, { data: { id } });
    }
    if (path === '/storage/upload') {
      const name = Buffer.from(headers.path!, 'latin1').toString('utf8');
      const id = this.#store(name, body, { path: name, contentType: headers['content-type']! });
      return answerOf(200, {}, { data: { id } });
    }
    if (!this.hasTus) return answerOf(404, {}, { type: 'route-not-found', message: 'no route' });
    if (path === '/storage/tus') return this.#create(headers, body);
    const partial = this.partials.get(path);
    if (!partial || partial.token !== headers.authorization)
      return answerOf(404, {}, init.method === 'HEAD' ? null : { type: 'upload-not-found' });
    if (init.method === 'DELETE') {
      this.partials.delete(path);
      return answerOf(204, {}, null);
    }
    if (init.method === 'PATCH') {
      if (Number(headers['upload-offset']) !== partial.bytes.length)
        return answerOf(409, {}, { type: 'upload-offset-wrong', message: 'elsewhere' });
      this.#append(partial, body);
    }
    return answerOf(init.method === 'HEAD' ? 200 : 204, stateOf(partial), null);
  }

  #create(headers: FetchInit['headers'], body: Uint8Array): FetchAnswer {
    const pairs = headers['upload-metadata']!.split(',').map((pair) => pair.split(' '));
    const partial: Partial = {
      length: Number(headers['upload-length']),
      metadata: Object.fromEntries(
        pairs.map(([name, value]) => [name, Buffer.from(value!, 'base64').toString('utf8')]),
      ),
      token: headers.authorization,
      bytes: new Uint8Array(),
      fileId: null,
      tx: null,
    };
    const place = `/storage/tus/${this.#random.uuid()}`;
    this.partials.set(place, partial);
    this.#append(partial, body);
    return answerOf(201, { location: place, ...stateOf(partial) }, null);
  }

  #append(partial: Partial, body: Uint8Array): void {
    partial.bytes = Buffer.concat([partial.bytes, body]);
    if (partial.bytes.length > partial.length) throw new Error('more bytes than were announced');
    if (partial.bytes.length < partial.length || partial.fileId !== null) return;
    const { metadata } = partial;
    partial.fileId = this.#store(metadata.path!, partial.bytes, metadata);
    partial.tx = this.takesIds ? this.#tx : null;
  }

  #store(path: string, bytes: Uint8Array, metadata: Readonly<Record<string, string>>): string {
    const wanted = this.takesIds ? metadata.fileId : undefined;
    const id = this.stored.get(path)?.id ?? wanted ?? this.#random.uuid();
    this.stored.set(path, { id, bytes, metadata });
    this.log.push(path);
    this.#tx = this.onStored(path, this.stored.get(path)!);
    return id;
  }
}

function stateOf({ bytes, fileId, tx }: Partial): Record<string, string> {
  return {
    'upload-offset': String(bytes.length),
    ...(fileId === null ? {} : { 'trice-file-id': fileId }),
    ...(tx === null ? {} : { 'trice-tx-id': String(tx) }),
  };
}

function answerOf(status: number, headers: Record<string, string>, body: unknown): FetchAnswer {
  return {
    status,
    headers: { get: (name) => headers[name] ?? null },
    text: async () => (body === null ? '' : JSON.stringify(body)),
  };
}
