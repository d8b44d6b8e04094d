/**
 * Files that are uploaded in tabs that come, go, freeze and die in the middle of anything, over
 * requests that are cut: at rest each file that was told as saved is stored or reported, so is each
 * of a tab that lives, and what linked a file leads to its row.
 */
import { beforeAll, expect, test } from 'vitest';
import { bytesOf, PHOTO_ATTRS, storeRow } from '../support/photo-stage.ts';
import { keptUploads, openPhotoTab } from '../support/photo-tabs.ts';
import { Random, seeds } from '../support/random.ts';
import { SHELF_ATTRS } from '../support/shelf.ts';
import { entity } from '../support/stage.ts';
import { Browser, type Tab } from './browser.ts';
import { Clock } from './clock.ts';
import { Files } from './files.ts';
import { Network } from './network.ts';
import { Server } from './server.ts';

// The code of both is fetched at first use; here it is there, so that only the clock counts.
beforeAll(() => import('../../src/client/later.ts'));

const STEPS = 60;
const TABS_MAX = 3;
const HOUR_MS = 3_600_000;
const COVERS = { books: { cover: {} } };

test.each(seeds(40))('[J179] no file is lost among tabs (seed %i)', async (seed) => {
  const world = new World(new Random(seed));
  for (let step = 0; step < STEPS; step++) {
    world.act();
    await world.clock.pass(world.random.below(world.random.chance(0.1) ? 8_000 : 600));
  }
  await world.rest();
  await world.check();
});

/** A file that a tab was given; its type names it on the server. */
interface Made {
  readonly by: Tab;
  readonly type: string;
  readonly clientId: string;
  isSaved: boolean;
  end: 'done' | 'failed' | null;
}

/** A write that names a file, and what was said of it. */
interface Link {
  readonly by: Tab;
  readonly id: string;
  end: 'synced' | 'enqueued' | 'rejected' | null;
}

class World {
  readonly random: Random;
  readonly clock = new Clock();
  readonly server: Server;
  readonly network: Network;
  readonly files: Files;
  readonly browser: Browser;
  readonly tabs: Tab[] = [];
  readonly made: Made[] = [];
  readonly links: Link[] = [];
  /** Types of files in the order in which they were stored. */
  readonly log: string[] = [];

  constructor(random: Random) {
    this.random = random;
    this.server = new Server(this.clock, random, [...SHELF_ATTRS, ...PHOTO_ATTRS], []);
    this.network = new Network(this.clock, random, (line) => this.server.accept(line));
    this.files = new Files(this.clock, random);
    this.files.takesIds = random.chance(0.7);
    this.files.cutChance = 0.1;
    this.files.onStored = (path, file) => {
      this.log.push(file.metadata.contentType!);
      return storeRow(this.server, random, path, file);
    };
    this.browser = new Browser(this.clock, random, this.network);
    this.#open();
  }

  act(): void {
    const { random, network, files, tabs } = this;
    const awake = tabs.filter(({ isFrozen }) => !isFrozen);
    const roll = random.next();
    if (tabs.length === 0 || (roll < 0.1 && tabs.length < TABS_MAX)) return this.#open();
    if (roll < 0.16) {
      const tab = random.pick(tabs);
      tabs.splice(tabs.indexOf(tab), 1);
      return tab.kill();
    }
    if (roll < 0.22) {
      if (awake.length > 0) random.pick(awake).freeze(random.chance(0.4));
      return;
    }
    if (roll < 0.3) {
      const frozen = tabs.filter(({ isFrozen }) => isFrozen);
      if (frozen.length > 0) random.pick(frozen).thaw();
      return;
    }
    if (roll > 0.93) return network.cutAll();
    if (roll > 0.83) {
      network.isUp = random.chance(0.6);
      files.isUp = network.isUp || random.chance(0.2);
      if (!network.isUp) network.cutAll();
      return;
    }
    if (awake.length === 0) return;
    const tab = random.pick(awake);
    if (roll < 0.55) this.#upload(tab);
    else if (roll < 0.75) this.#link(tab);
    else {
      const title = `${random.below(9)}`;
      void tab.db
        .transact(tab.db.tx.books![entity(random.below(3))]!.update({ title }))
        .catch(() => {});
    }
  }

  /** Everything works again: frozen tabs go on, and what was left by half is old. */
  async rest(): Promise<void> {
    this.network.isUp = this.files.isUp = true;
    this.files.cutChance = 0;
    for (const tab of this.tabs) if (tab.isFrozen) tab.thaw();
    if (this.tabs.length === 0) this.#open();
    await this.clock.pass(4 * 60_000);
  }

  async #startAnew(): Promise<void> {
    for (const tab of this.tabs.splice(0)) tab.kill();
    this.clock.now += HOUR_MS;
    this.#open();
    await this.clock.pass(120_000);
  }

  async check(): Promise<void> {
    const reported = new Set<string>();
    for (const { db } of this.tabs) {
      expect(db.connectionStatus).toBe('authenticated');
      for (const { id, state } of db.pending.list()) {
        expect(state).toBe('rejected');
        reported.add(id);
      }
    }
    for (const { by, clientId, type, isSaved, end } of this.made) {
      const isStored = this.log.includes(type);
      if (end === 'done') expect(isStored, type).toBe(true);
      if (isSaved) expect(isStored || reported.has(clientId), type).toBe(true);
      if (!by.isDead) expect(end, type).not.toBeNull();
      if (!by.isDead && end === 'failed') expect(reported.has(clientId), type).toBe(true);
    }
    const { applied } = this.server;
    for (const { by, id, end } of this.links) {
      if (end === 'synced') expect(applied.has(id)).toBe(true);
      if (end === 'enqueued') expect(applied.has(id) || reported.has(id)).toBe(true);
      if (!by.isDead) expect(end).not.toBeNull();
    }
    // A link to a file that is not there would show no cover.
    const { books } = this.server.rows(COVERS) as { books: { cover?: { id: string } }[] };
    for (const cover of this.#covers())
      expect(books.some((book) => book.cover?.id === cover)).toBe(true);
    await this.#startAnew();
    for (const id of keptUploads(this.browser)) expect(reported.has(id), id).toBe(true);
  }

  /** The files that books are linked to, whether they are there or not. */
  #covers(): unknown[] {
    const cover = PHOTO_ATTRS.at(-1)!.id;
    return this.server.data.triples.filter(([, attr]) => attr === cover).map(([, , id]) => id);
  }

  #open(): void {
    const tab = openPhotoTab(this.browser, this.files);
    this.tabs.push(tab);
    tab.db.subscribeQuery(COVERS, () => {});
    tab.db.subscribeQuery({ $files: {} }, () => {});
  }

  #upload(by: Tab): void {
    const { random } = this;
    const bytes = bytesOf(
      random.below(random.pick([1, 1_000, 300_000, 900_000])),
      random.below(99),
    );
    const type = `image/${this.made.length}`;
    const path = random.pick(['a', 'b', 'c', 'd']);
    const upload = by.db.storage.uploadFile(path, bytes, { contentType: type });
    const made: Made = { by, type, clientId: upload.clientId, isSaved: false, end: null };
    this.made.push(made);
    void upload.saved.then((isSaved) => (made.isSaved = isSaved));
    upload.then(
      () => (made.end = 'done'),
      () => (made.end = 'failed'),
    );
  }

  /** Links the cover of a book to a file that the tab knows. */
  #link(by: Tab): void {
    const { random } = this;
    const { db } = by;
    const list = db.pending.list();
    const known = list.flatMap(({ upload, state }) =>
      upload && state !== 'rejected' ? [upload.fileId] : [],
    );
    if (known.length === 0) return;
    const book = db.tx.books![entity(random.below(3))]!;
    const done = db.transact(book.update({ title: 'linked' }).link({ cover: random.pick(known) }));
    const { id } = db.pending.list().at(-1)!;
    const link: Link = { by, id, end: null };
    this.links.push(link);
    done.then(
      ({ status }) => (link.end = status),
      () => (link.end = 'rejected'),
    );
  }
}
