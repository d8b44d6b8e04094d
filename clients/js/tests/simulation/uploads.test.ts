/**
 * Files that are uploaded by devices whose pages die between any two writes to their disk, over
 * requests that are cut: at rest every file that was told as saved is stored or reported, the last
 * one of a path is the one that is there, and what linked a file leads to its row.
 */
import { beforeAll, expect, test } from 'vitest';
import type { Database } from '../../src/client/database.ts';
import { Random, seeds } from '../support/random.ts';
import { bytesOf, PHOTO_ATTRS, photoPage, storeRow } from '../support/photo-stage.ts';
import { SHELF_ATTRS } from '../support/shelf.ts';
import { entity } from '../support/stage.ts';
import { Clock } from './clock.ts';
import { type Page, Stored } from './device.ts';
import { Files } from './files.ts';
import { Network } from './network.ts';
import { Server } from './server.ts';

beforeAll(() => import('../../src/files/uploader.ts'));

const STEPS = 40;
const HOUR_MS = 3_600_000;
const COVERS = { books: { cover: {} } };

test.each(seeds(40))(
  '[J274] no file is lost, and no link leads astray, over reloads (seed %i)',
  async (seed) => {
    const world = new World(new Random(seed));
    for (let step = 0; step < STEPS; step++) {
      world.act();
      await world.clock.pass(world.random.below(600));
      world.reviveIfDead();
    }
    await world.rest();
    world.check();
  },
);

/** A file that a page was given; its type names it on the server. */
interface Made {
  readonly type: string;
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly clientId: string;
  readonly fileId: string;
  isSaved: boolean;
  isDone: boolean;
}

class World {
  readonly random: Random;
  readonly clock = new Clock();
  readonly server: Server;
  readonly network: Network;
  readonly files: Files;
  readonly stored = new Stored();
  readonly made: Made[] = [];
  /** Types of files in the order in which they were stored. */
  readonly log: string[] = [];
  db!: Database;
  /** What was stored could not be noted: a later page sent it again, over what came after it. */
  wasFull = false;
  #page!: Page;
  #crashIn = Infinity;
  #isCalm = false;

  constructor(random: Random) {
    this.random = random;
    this.server = new Server(this.clock, random, [...SHELF_ATTRS, ...PHOTO_ATTRS], []);
    this.network = new Network(this.clock, random, (line) => this.server.accept(line));
    this.files = new Files(this.clock, random);
    this.files.takesIds = random.chance(0.7);
    this.files.cutChance = 0.15;
    this.files.onStored = (path, file) => {
      this.log.push(file.metadata.contentType!);
      return storeRow(this.server, random, path, file);
    };
    this.#start();
  }

  act(): void {
    const { random, db, network, files } = this;
    const roll = random.next();
    if (roll < 0.35) this.#upload();
    else if (roll < 0.55) this.#link();
    else if (roll < 0.65)
      void db
        .transact(db.tx.books![entity(random.below(3))]!.update({ title: `${random.below(9)}` }))
        .catch(() => {});
    else if (roll < 0.75) this.#page.isDead = true;
    else if (roll < 0.82) network.cutAll();
    else {
      network.isUp = random.chance(0.5);
      files.isUp = network.isUp || random.chance(0.2);
    }
  }

  reviveIfDead(): void {
    if (!this.#page.isDead) return;
    this.#page.end();
    this.#start();
  }

  /** Everything works again; the page starts once more, and once an hour later. */
  async rest(): Promise<void> {
    this.#isCalm = true;
    this.network.isUp = this.files.isUp = true;
    this.files.cutChance = 0;
    await this.clock.pass(120_000);
    for (const waitMs of [0, HOUR_MS]) {
      this.clock.now += waitMs;
      this.#page.isDead = true;
      this.reviveIfDead();
      await this.clock.pass(120_000);
    }
  }

  check(): void {
    const entries = this.db.pending.list();
    for (const { state } of entries) expect(state).toBe('rejected');
    const reported = new Set(entries.map(({ id }) => id));
    const byPath = new Map<string, Made>();
    for (const made of this.made) {
      const isStored = this.log.includes(made.type);
      if (made.isDone) expect(isStored, made.type).toBe(true);
      if (made.isSaved) expect(isStored || reported.has(made.clientId), made.type).toBe(true);
      if (isStored) byPath.set(made.path, made);
    }
    for (const [path, { bytes, type }] of this.wasFull ? [] : byPath) {
      const file = this.files.stored.get(path)!;
      expect(file.metadata.contentType).toBe(type);
      expect(Buffer.compare(file.bytes, bytes)).toBe(0);
    }
    // A link to a file that is not there would show no cover.
    const covers = this.#covers();
    const { books } = this.server.rows(COVERS) as { books: { cover?: { id: string } }[] };
    for (const cover of covers) expect(books.some((book) => book.cover?.id === cover)).toBe(true);
    const [tables] = this.stored.disks.databases.values();
    const kept = new Set(
      [...(tables?.get('parts') ?? []).keys()].map((key) => String(key).split(':')[0]!),
    );
    for (const id of kept) expect(reported.has(id)).toBe(true);
  }

  /** The files that books are linked to, whether they are there or not. */
  #covers(): unknown[] {
    const cover = PHOTO_ATTRS.at(-1)!.id;
    return this.server.data.triples.filter(([, attr]) => attr === cover).map(([, , id]) => id);
  }

  #start(): void {
    const { clock, random, network, files, stored } = this;
    const mayFail = () => !this.#isCalm;
    this.#crashIn = random.chance(0.6) ? 1 + random.below(15) : Infinity;
    const { page, db } = photoPage(
      { clock, random, network, files, stored },
      {
        delayMs: () => random.below(30),
        fail: (op) => (mayFail() && op === 'write' && random.chance(0.01) ? 'full' : null),
        crashAt: () =>
          mayFail() && --this.#crashIn <= 0 ? random.pick(['before', 'after'] as const) : null,
      },
    );
    this.#page = page;
    this.db = db;
    db.onStorageStatusChange(() => {
      if (db.storageStatus === 'full') this.wasFull = true;
    });
    db.subscribeQuery(COVERS, () => {});
    db.subscribeQuery({ $files: {} }, () => {});
  }

  #upload(): void {
    const { random } = this;
    const path = random.pick(['a', 'b', 'c', 'd']);
    const bytes = bytesOf(
      random.below(random.pick([1, 1_000, 300_000, 900_000])),
      random.below(99),
    );
    const type = `image/${this.made.length}`;
    const upload = this.db.storage.uploadFile(path, bytes, { contentType: type });
    const { clientId, fileId } = upload;
    const made: Made = { type, path, bytes, clientId, fileId, isSaved: false, isDone: false };
    this.made.push(made);
    void upload.saved.then((isSaved) => (made.isSaved = isSaved));
    upload.then(
      () => (made.isDone = true),
      () => {},
    );
  }

  /** Links the cover of a book to a file that the page knows. */
  #link(): void {
    const { random, db } = this;
    const known = db.pending
      .list()
      .flatMap(({ upload, state }) => (upload && state !== 'rejected' ? [upload.fileId] : []));
    if (known.length === 0) return;
    const book = db.tx.books![entity(random.below(3))]!;
    void db
      .transact(book.update({ title: 'linked' }).link({ cover: random.pick(known) }))
      .catch(() => {});
  }
}
