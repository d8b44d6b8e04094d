import type { Config } from '../../src/client/config.ts';
import { Database } from '../../src/client/database.ts';
import type { Environment } from '../../src/client/environment.ts';
import type { SchemaShape } from '../../src/schema/shape.ts';
import type { WireAttr } from '../../src/schema/attr.ts';
import { type Faults, Page, type Stored } from '../simulation/device.ts';
import { Files, type StoredFile } from '../simulation/files.ts';
import type { Server } from '../simulation/server.ts';
import type { Clock } from '../simulation/clock.ts';
import type { Network } from '../simulation/network.ts';
import type { Random } from './random.ts';
import { SHELF_SCHEMA } from './shelf.ts';
import { Stage } from './stage.ts';

/** Attrs of files, and of the cover that a book has. */
export const PHOTO_ATTRS: readonly WireAttr[] = [
  fileAttr(1, 'id', 'any', { 'unique?': true, 'index?': true }),
  fileAttr(2, 'path', 'string', { 'unique?': true, 'index?': true }),
  fileAttr(3, 'size', 'number', {}),
  fileAttr(4, 'content-type', 'string', {}),
  fileAttr(5, 'url', 'string', {}),
  {
    ...fileAttr(6, 'cover', 'any', {}),
    'forward-identity': ['f6000000-0000-4000-8000-000000000006', 'books', 'cover'],
    'reverse-identity': ['f7000000-0000-4000-8000-000000000006', '$files', 'covered'],
    'value-type': 'ref',
  } as WireAttr,
];

export const PHOTO_SCHEMA: SchemaShape = {
  entities: SHELF_SCHEMA.entities,
  links: {
    ...SHELF_SCHEMA.links,
    cover: {
      forward: { on: 'books', label: 'cover', has: 'one' },
      reverse: { on: '$files', label: 'covered', has: 'many' },
    },
  },
};

/** Writes the row of a stored file, as the server does. */
export function storeRow(server: Server, random: Random, path: string, file: StoredFile): number {
  const fields = [
    [1, file.id],
    [2, path],
    [3, file.bytes.length],
    [4, file.metadata.contentType ?? 'application/octet-stream'],
    [5, `https://files/${path}?${file.bytes.length}`],
  ] as const;
  const steps = fields.map(([attr, value]) => ['add-triple', file.id, photoAttr(attr), value]);
  return server.transact(random.uuid(), steps);
}

/** An address of a page, and whether it was let go of. */
export interface Shown {
  readonly url: string;
  readonly bytes: number;
  isRevoked: boolean;
}

/** A page of a device whose files go to `files`. What it asks after its death is not asked. */
export function photoPage(
  parts: { clock: Clock; random: Random; network: Network; files: Files; stored: Stored },
  faults: Faults = {},
  config: Partial<Config> = {},
): { page: Page; db: Database; addresses: Shown[] } {
  const { clock, random, network, files, stored } = parts;
  const fetch: Environment['fetch'] = async (url, init) => {
    const never = new Promise<never>(() => {});
    if (page.isDead) return never;
    const answer = await files
      .fetch(url, init, () => page.isDead)
      .catch((error: unknown) => {
        if (page.isDead) return never;
        throw error;
      });
    return page.isDead ? never : answer;
  };
  const page: Page = new Page(clock, random, network, stored, faults, fetch);
  const addresses: Shown[] = [];
  const environment: Environment = {
    ...page.environment,
    objectUrl(pieces) {
      const bytes = pieces.reduce((sum, piece) => sum + (piece as Uint8Array).length, 0);
      const shown = { url: `blob:${addresses.length}`, bytes, isRevoked: false };
      addresses.push(shown);
      return { url: shown.url, revoke: () => void (shown.isRevoked = true) };
    },
  };
  const all = { appId: 'app', schema: PHOTO_SCHEMA, server: 'http://test', ...config };
  return { page, db: new Database(all, environment), addresses };
}

/** A stage whose server has files, with rows, and whose devices have disks. */
export class PhotoStage extends Stage {
  readonly files: Files;

  constructor(seed?: number) {
    super(seed);
    this.files = new Files(this.clock, this.random);
    this.server.data = {
      ...this.server.data,
      attrs: [...this.server.data.attrs, ...PHOTO_ATTRS],
    };
    this.files.onStored = (path, file) => storeRow(this.server, this.random, path, file);
  }

  page(stored: Stored, faults: Faults = {}, config: Partial<Config> = {}) {
    return photoPage({ ...this.#parts, stored }, faults, config);
  }

  get #parts() {
    const { clock, random, network, files } = this;
    return { clock, random, network, files };
  }

  /** Neither sockets nor requests get through. */
  set isOnline(isOnline: boolean) {
    this.network.isUp = isOnline;
    this.files.isUp = isOnline;
    if (!isOnline) this.network.cutAll();
  }
}

/** Bytes that differ from place to place. */
export function bytesOf(length: number, salt = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 31) ^ (at >> 8) ^ salt;
  return bytes;
}

function photoAttr(number: number): string {
  return `f${number}000000-0000-4000-8000-000000000000`;
}

function fileAttr(number: number, label: string, type: string, more: object): WireAttr {
  return {
    id: photoAttr(number),
    'forward-identity': [`f${number}000000-0000-4000-8000-000000000001`, '$files', label],
    'value-type': 'blob',
    cardinality: 'one',
    'unique?': false,
    'index?': false,
    ...(type === 'any' ? {} : { 'checked-data-type': type }),
    catalog: 'system',
    ...more,
  } as unknown as WireAttr;
}
