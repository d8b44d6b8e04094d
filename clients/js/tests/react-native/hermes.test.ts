/** The whole client in an engine without Node and DOM: a start, writes, a death, a start. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as react from 'react';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FakeSqlite, fakeAsyncStorage, fakeMmkv, Texts } from '../support/device-stores.ts';
import { bundled, foundMissing, start } from '../support/hermes.ts';
import { entity, Stage } from '../support/stage.ts';

let code: string;
let folder: string;

beforeAll(async () => {
  code = await bundled();
  folder = mkdtempSync(join(tmpdir(), 'tricedb-hermes-'));
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What an app has installed; a device keeps what is in it, and each start gets it anew. */
const DEVICES: Readonly<Record<string, () => () => Record<string, unknown>>> = {
  'expo-sqlite': () => {
    const files = mkdtempSync(join(folder, 'files-'));
    return () => ({ 'expo-sqlite': new FakeSqlite(files) });
  },
  'react-native-mmkv': () => {
    const kept = new Map<string, Texts>();
    const create = fakeMmkv(4, (id) => {
      if (!kept.has(id)) kept.set(id, new Texts());
      return kept.get(id)!;
    });
    return () => ({
      'react-native-mmkv': { createMMKV: ({ id }: { id: string }) => create(id) },
    });
  },
  '@react-native-async-storage/async-storage': () => {
    const texts = new Texts();
    return () => ({
      '@react-native-async-storage/async-storage': { default: fakeAsyncStorage(texts, 3) },
    });
  },
};

/** The phone around an app: what tells it that it goes to the back. */
function phone(): { packages: Record<string, unknown>; goToBack: () => void } {
  const listeners: ((state: string) => void)[] = [];
  const AppState = {
    currentState: 'active',
    addEventListener: (_: string, tell: (state: string) => void) => {
      listeners.push(tell);
      return { remove: () => {} };
    },
  };
  let made = 0;
  const getRandomValues = (bytes: Uint8Array) =>
    bytes.forEach((_, place) => (bytes[place] = made = (made * 33 + place + 1) % 251));
  return {
    packages: { react, 'react-native': { AppState }, 'expo-crypto': { getRandomValues } },
    goToBack: () => listeners.forEach((tell) => tell('background')),
  };
}

const TAGS = { tags: {} };

async function settle(stage: Stage): Promise<void> {
  // Disks answer in promises, of which a moment of the clock sees only so many.
  for (let turn = 0; turn < 100; turn++) await stage.clock.pass(100);
}

test('[J208] what an engine of a device lacks is not there', () => {
  expect(foundMissing()).toEqual([]);
});

test.each(Object.entries(DEVICES))(
  '[J208, J206, J212] with %s: init, query, write, die, and start again',
  async (_, device) => {
    const stage = new Stage();
    const installed = device();
    const first = phone();
    const app = start(code, stage, { ...first.packages, ...installed() });
    const db = app.entry.init({ appId: 'app', server: 'http://test' });
    const tags = db.observe(TAGS);
    tags.subscribe(() => {});
    await settle(stage);
    expect(tags.get().source).toBe('server');
    const plain = (state: { data?: unknown }) => JSON.parse(JSON.stringify(state.data)) as unknown;
    expect(plain(tags.get())).toEqual(stage.server.rows(TAGS));

    const write = (name: string) =>
      db.transact(db.tx.tags![entity(90)]!.update({ name })).then(({ status }) => status);
    const synced = write('one');
    await settle(stage);
    expect(await synced).toBe('synced');
    const device1 = await db.getLocalId('device');

    stage.network.cutAll();
    stage.network.isUp = false;
    await settle(stage);
    const enqueued = write('two');
    await settle(stage);
    expect(await enqueued).toBe('enqueued');
    first.goToBack();
    await settle(stage);
    app.die();

    const second = start(code, stage, { ...phone().packages, ...installed() });
    const db2 = second.entry.init({ appId: 'app', server: 'http://test' });
    const again = db2.observe(TAGS);
    again.subscribe(() => {});
    await settle(stage);
    expect(db2.storageStatus).toBe('ready');
    expect(again.get().source).toBe('cache');
    expect(JSON.stringify(again.get().data)).toContain('"two"');
    expect(db2.pending.list().map(({ state }) => state)).toEqual(['queued']);
    expect(await db2.getLocalId('device')).toBe(device1);

    stage.network.isUp = true;
    await settle(stage);
    await settle(stage);
    expect(db2.pending.list().length).toBe(0);
    expect(stage.server.applied.size).toBe(2);
    expect(plain(again.get())).toEqual(stage.server.rows(TAGS));
    db2.shutdown();
  },
);

test('[J208] rooms are entered too', async () => {
  const stage = new Stage();
  const apps = ['Ada', 'Bob'].map((name) => {
    const app = start(code, stage, phone().packages);
    const db = app.entry.init({ appId: 'app', server: 'http://test', storage: null });
    return db.joinRoom('chat', 'one', { initialPresence: { name } });
  });
  await settle(stage);
  const [room] = apps;
  const names = Object.values(room!.getPresence({})?.peers ?? {}).map((peer) => peer.name);
  expect(names).toEqual(['Bob']);
});

test('[J205, J207] without the packages that it needs an app is told which', () => {
  const stage = new Stage();
  const { react: only } = phone().packages;
  const config = { appId: 'app', server: 'http://test' };
  const bare = start(code, stage, { react: only }).entry;
  const codeOf = (call: () => unknown) => {
    try {
      call();
      return 'none';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  expect(codeOf(() => bare.init(config))).toBe('storage-missing');
  expect(codeOf(() => bare.init({ ...config, storage: null }))).toBe('randomness-missing');
  expect(codeOf(() => bare.id())).toBe('randomness-missing');
  expect(codeOf(() => bare.expoSqlite())).toBe('storage-missing');
  // It adds what it gives to the globals.
  const added = { getRandomValues: (bytes: Uint8Array) => bytes.fill(1) };
  const older = {
    'react-native-get-random-values': (globals: object) => {
      return Object.assign(globals, { crypto: added });
    },
  };
  for (const packages of [phone().packages, { react: only, ...older }])
    expect(start(code, stage, packages).entry.id()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
});
