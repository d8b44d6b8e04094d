/** Pages that nobody sees, and machines that sleep. */
import { beforeAll, expect, test } from 'vitest';
import { Database } from '../../src/client/database.ts';
import { environmentOf } from '../simulation/network.ts';
import { SHELF_SCHEMA } from '../support/shelf.ts';
import { entity, Stage } from '../support/stage.ts';

beforeAll(() => import('../../src/rooms/rooms.ts'));

const MINUTE_MS = 60_000;

/** A stage whose page may be hidden. */
class HidingStage extends Stage {
  isHidden = false;
  readonly db: Database;
  /** When the link was asked, in milliseconds since `mark`. */
  readonly asked: number[] = [];
  /** What came while the page slept, and was not read yet; null: it is awake. */
  held: (() => void)[] | null = null;
  #from = 0;

  constructor() {
    super();
    const environment = environmentOf(this.clock, this.random, this.network);
    this.db = new Database(
      { appId: 'app', schema: SHELF_SCHEMA, server: 'http://test' },
      {
        ...environment,
        isHidden: () => this.isHidden,
        socket: (url, handlers) => {
          const message = (text: string) => {
            if (this.held === null) handlers.message(text);
            else this.held.push(() => handlers.message(text));
          };
          const socket = environment.socket(url, { ...handlers, message });
          return {
            send: (text) => {
              if (text.includes('remove-query')) this.asked.push(this.clock.now - this.#from);
              socket.send(text);
            },
            close: () => socket.close(),
          };
        },
      },
    );
  }

  /** Forgets what was asked before. */
  mark(): void {
    this.asked.length = 0;
    this.#from = this.clock.now;
  }

  hide(): void {
    this.isHidden = true;
  }

  show(): void {
    this.isHidden = false;
    this.network.wakeAll();
  }
}

test('[J280] a hidden page asks its silent link every 30 s, others every 5 s', async () => {
  const stage = new HidingStage();
  await stage.settle();
  stage.mark();
  await stage.clock.pass(MINUTE_MS);
  expect(stage.asked.length).toBeGreaterThanOrEqual(9);
  stage.hide();
  await stage.clock.pass(10_000);
  stage.mark();
  await stage.clock.pass(2 * MINUTE_MS);
  expect(stage.asked.length).toBeGreaterThanOrEqual(3);
  expect(stage.asked.length).toBeLessThanOrEqual(4);
  stage.show();
  stage.mark();
  await stage.clock.pass(MINUTE_MS);
  expect(stage.asked.length).toBeGreaterThanOrEqual(9);
  expect(stage.connections).toBe(1);
});

test('[J281] after a gap in the clock a link is asked, and not given up at once', async () => {
  const stage = new HidingStage();
  await stage.settle();
  // Asleep within the time in which the answer should come, which is read a second after it woke.
  stage.mark();
  stage.held = [];
  while (stage.asked.length === 0) await stage.clock.pass(10);
  const asked = stage.asked.length;
  stage.clock.now += 10 * MINUTE_MS;
  await stage.clock.pass(1_000);
  for (const read of stage.held.splice(0)) read();
  stage.held = null;
  await stage.settle();
  expect(stage.asked.length).toBeGreaterThan(asked);
  expect(stage.connections).toBe(1);
  expect(stage.db.connectionStatus).toBe('authenticated');
});

test('[J281] a dead link of a page that slept is noticed within 2 s', async () => {
  const stage = new HidingStage();
  await stage.settle();
  for (const wakes of [true, false]) {
    const { connections } = stage;
    stage.network.silenceOne();
    stage.clock.now += 10 * MINUTE_MS;
    if (wakes) stage.network.wakeAll();
    let closedAt = 0;
    const from = stage.clock.now;
    const stop = stage.db.onConnectionStatusChange((status) => {
      if (status === 'closed') closedAt = stage.clock.now - from;
    });
    await stage.clock.pass(2_001);
    expect(closedAt).toBe(2_000);
    stop();
    await stage.settle();
    expect(stage.connections).toBe(connections + 1);
  }
});

test('[J282] a page hidden for 5 min is without connection until it is seen', async () => {
  const stage = new HidingStage();
  const { db } = stage;
  let titles: unknown[] = [];
  db.subscribeQuery({ books: { $: { where: { id: entity(1) } } } }, ({ data }) => {
    titles = (data?.books ?? []).map(({ title }) => title);
  });
  await stage.settle();
  stage.hide();
  await stage.clock.pass(4 * MINUTE_MS);
  expect(db.connectionStatus).toBe('authenticated');
  await stage.clock.pass(2 * MINUTE_MS);
  expect(db.connectionStatus).toBe('closed');
  await stage.clock.pass(60 * MINUTE_MS);
  expect(stage.connections).toBe(1);
  const other = stage.device();
  await stage.settle();
  void other.transact(other.tx.books![entity(1)]!.create({ title: 'Dune' }));
  await stage.settle();
  expect(titles).toEqual([]);
  stage.show();
  await stage.settle();
  expect(db.connectionStatus).toBe('authenticated');
  expect(titles).toEqual(['Dune']);
});

test('[J282] writes, questions and rooms keep or wake a hidden page', async () => {
  const stage = new HidingStage();
  const { db } = stage;
  await stage.settle();
  stage.hide();
  const asleep = async () => {
    await stage.clock.pass(8 * MINUTE_MS);
    return db.connectionStatus === 'closed';
  };
  expect(await asleep()).toBe(true);
  const write = db.transact(db.tx.books![entity(1)]!.create({ title: 'Dune' }));
  await stage.settle();
  expect(stage.server.applied.size).toBe(1);
  await write;
  expect(await asleep()).toBe(true);
  const once = db.queryOnce({ books: { $: { where: { id: entity(1) } } } });
  await stage.settle();
  expect((await once).data?.books).toMatchObject([{ title: 'Dune' }]);
  expect(await asleep()).toBe(true);
  db.subscribeQuery({ tags: {} }, () => {});
  await stage.settle();
  expect(db.connectionStatus).toBe('authenticated');
  expect(await asleep()).toBe(true);
  const room = db.joinRoom('chat', 'a');
  room.publishPresence({ name: 'Ada' });
  expect(await asleep()).toBe(false);
  room.leaveRoom();
  expect(await asleep()).toBe(true);
});

test('[J283] of several calls to wake within a second one is heeded', async () => {
  const stage = new HidingStage();
  await stage.settle();
  stage.mark();
  for (let turn = 0; turn < 10; turn++) {
    stage.network.wakeAll();
    await stage.clock.pass(90);
  }
  expect(stage.asked).toEqual([0]);
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(30_000);
  const attempts = stage.network.attempts.length;
  for (let turn = 0; turn < 20; turn++) {
    stage.network.wakeAll();
    await stage.clock.pass(100);
  }
  expect(stage.network.attempts.length - attempts).toBeGreaterThanOrEqual(2);
  expect(stage.network.attempts.length - attempts).toBeLessThanOrEqual(6);
  stage.network.isUp = true;
  stage.network.wakeAll();
  await stage.clock.pass(5_000);
  expect(stage.db.connectionStatus).toBe('authenticated');
});
