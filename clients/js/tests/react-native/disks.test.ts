/** Disks of devices, on packages that behave as the real ones do. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Disks } from '../../src/client/disk.ts';
import { asyncStorageStore } from '../../src/react-native/async-storage.ts';
import { DeviceDisks } from '../../src/react-native/disks.ts';
import { escaped, unescaped } from '../../src/react-native/escape.ts';
import { mmkvStore } from '../../src/react-native/mmkv.ts';
import { sqliteStore } from '../../src/react-native/sqlite.ts';
import { VALUE_BYTES_MAX } from '../../src/react-native/versions.ts';
import { FakeSqlite, fakeAsyncStorage, fakeMmkv, Texts } from '../support/device-stores.ts';
import { DISK_CONTRACT, wipedElsewhere } from '../support/disk-contract.ts';
import { Random, seeds } from '../support/random.ts';
import { Database } from '../../src/client/database.ts';
import { environmentOf } from '../simulation/network.ts';
import { entity, Stage } from '../support/stage.ts';

let folder: string;
let files = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tricedb-devices-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const newSqlite = () => new FakeSqlite(join(folder, String(files++)));

function newMmkv(version: 3 | 4): (id: string) => ReturnType<ReturnType<typeof fakeMmkv>> {
  const instances = new Map<string, Texts>();
  return fakeMmkv(version, (id) => {
    if (!instances.has(id)) instances.set(id, new Texts());
    return instances.get(id)!;
  });
}

const STORES: Readonly<Record<string, () => Disks>> = {
  'expo-sqlite': () => new DeviceDisks(sqliteStore(newSqlite())),
  'MMKV 4': () => new DeviceDisks(mmkvStore(newMmkv(4), 1e7)),
  'MMKV 3': () => new DeviceDisks(mmkvStore(newMmkv(3), 1e7)),
  'AsyncStorage 3': () => new DeviceDisks(asyncStorageStore(fakeAsyncStorage(new Texts(), 3), 1e7)),
  'AsyncStorage 2': () => new DeviceDisks(asyncStorageStore(fakeAsyncStorage(new Texts(), 2), 1e7)),
};

describe.each(Object.entries(STORES))('%s', (_, disks) => {
  test.each(Object.entries(DISK_CONTRACT))('[J200, J84] %s', (_, run) => run(disks()));

  test('[J200] the wiping of one handle ends the others', () => wipedElsewhere(disks()));

  test('[J200] what one handle closed another still reads', async () => {
    const all = disks();
    const [one, other] = [await all.open('two'), await all.open('two')];
    await one.write([{ table: 'rows', key: 'a', value: '1' }], true);
    one.close();
    expect(await other.read('rows')).toEqual([['a', '1']]);
  });
});

test('[J200] escaped texts have nothing that is lost, and sort as the texts did', () => {
  for (const seed of seeds(300)) {
    const random = new Random(seed);
    const unit = () => random.pick([0, 1, 2, 97, 0xd7ff, 0xd800, 0xdc00, 0xe000, 0xffff]);
    const text = () =>
      Array.from({ length: random.below(6) }, () => String.fromCharCode(unit())).join('');
    const [one, other] = [text(), text()];
    expect(unescaped(escaped(one)), `seed ${seed}`).toBe(one);
    expect(Buffer.from(escaped(one)).toString()).toBe(escaped(one));
    expect(escaped(one)).not.toContain('\0');
    const order = Math.sign(Buffer.compare(Buffer.from(escaped(one)), Buffer.from(escaped(other))));
    expect(order, `seed ${seed}`).toBe(one < other ? -1 : one === other ? 0 : 1);
  }
});

describe('SQLite', () => {
  test('[J201] a batch is one transaction with a rollback journal, flushed', async () => {
    const sqlite = newSqlite();
    const disk = await new DeviceDisks(sqliteStore(sqlite)).open('a/b:c');
    await disk.write(
      [
        { table: 'rows', key: 'a', value: '1' },
        { table: 'rows', key: 'b', value: null },
      ],
      true,
    );
    const work = sqlite.log.filter((sql) => /^(BEGIN|INSERT|DELETE|COMMIT)/.test(sql));
    expect(work.map((sql) => sql.split(' ')[0])).toEqual(['BEGIN', 'INSERT', 'DELETE', 'COMMIT']);
    const [name] = ['a_1b_b_1m_c.db'];
    expect(sqlite.ask(name, 'PRAGMA journal_mode')).toEqual([{ journal_mode: 'truncate' }]);
    expect(sqlite.ask(name, 'PRAGMA synchronous')).toEqual([{ synchronous: 2 }]);
  });

  test.each(['INSERT', 'DELETE', 'COMMIT'])(
    '[J201] a batch whose %s fails leaves nothing, and is done once more',
    async (verb) => {
      const sqlite = newSqlite();
      const disk = await new DeviceDisks(sqliteStore(sqlite)).open('half');
      await disk.write([{ table: 'rows', key: 'a', value: 'before' }], true);
      const batch = [
        { table: 'rows', key: 'b', value: '1' },
        { table: 'rows', key: 'a', value: null },
      ] as const;
      const fail = (times: number, message: string) => {
        sqlite.before = (sql) => {
          if (sql.startsWith(verb) && times-- > 0) throw new Error(message);
        };
      };
      fail(2, 'Error code 10: disk I/O error');
      await expect(disk.write(batch, true)).rejects.toMatchObject({ reason: 'lost' });
      expect(await disk.read('rows')).toEqual([['a', 'before']]);
      fail(1, 'Error code 13: database or disk is full');
      await expect(disk.write(batch, true)).rejects.toMatchObject({ reason: 'full' });
      expect(await disk.read('rows')).toEqual([['a', 'before']]);
      fail(1, 'Error code 10: disk I/O error');
      await disk.write(batch, true);
      expect(await disk.read('rows')).toEqual([['b', '1']]);
    },
  );

  test('[J201] a file that is no database fails as broken, and can be made anew', async () => {
    const sqlite = newSqlite();
    writeFileSync(sqlite.pathOf('broken.db'), 'no database '.repeat(1_000));
    const disks = new DeviceDisks(sqliteStore(sqlite));
    const disk = await disks.open('broken');
    await expect(disk.read('rows')).rejects.toMatchObject({ reason: 'broken' });
    await disk.wipe();
    const fresh = await disks.open('broken');
    await fresh.write([{ table: 'rows', key: 'a', value: '1' }], true);
    expect(await fresh.read('rows')).toEqual([['a', '1']]);
  });
});

describe('texts by key', () => {
  test('[J203] no value is longer than 256 kB, whatever its letters', async () => {
    const texts = new Texts();
    const disks = new DeviceDisks(asyncStorageStore(fakeAsyncStorage(texts, 2), 1e8));
    const disk = await disks.open('long');
    for (const letter of ['a', '語', '\ud83d\ude00', '！'])
      await disk.write([{ table: 'rows', key: letter, value: letter.repeat(400_000) }], true);
    for (const text of texts.kept.values())
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(VALUE_BYTES_MAX);
    for (const [key, value] of await disk.read('rows')) expect(value).toBe(key.repeat(400_000));
  });

  test('[J204] beyond its bound a database is full, and what makes room goes through', async () => {
    const create = newMmkv(4);
    const disk = await new DeviceDisks(mmkvStore(create, 3_000)).open('small');
    const put = (key: string) => ({ table: 'rows', key, value: 'x'.repeat(1_000) }) as const;
    await disk.write([put('a'), put('b')], true);
    await expect(disk.write([put('c')], true)).rejects.toMatchObject({ reason: 'full' });
    await disk.write([{ table: 'rows', key: 'a', value: null }, put('c')], true);
    expect((await disk.read('rows')).map(([key]) => key)).toEqual(['b', 'c']);
  });

  test('[J204] a platform without room fails as full, and nothing is there', async () => {
    const storage = fakeAsyncStorage(new Texts(), 3, 2_000);
    const disk = await new DeviceDisks(asyncStorageStore(storage, 1e7)).open('small');
    await disk.write([{ table: 'rows', key: 'a', value: '1' }], true);
    const long = { table: 'rows', key: 'b', value: 'x'.repeat(3_000) } as const;
    await expect(disk.write([long], true)).rejects.toMatchObject({ reason: 'full' });
    expect(await disk.read('rows')).toEqual([['a', '1']]);
  });

  test('[J202] nothing of older batches stays behind', async () => {
    const texts = new Texts();
    const disk = await new DeviceDisks(asyncStorageStore(fakeAsyncStorage(texts, 2), 1e7)).open(
      'tidy',
    );
    for (let round = 0; round < 20; round++)
      await disk.write(
        [
          { table: 'rows', key: 'a', value: String(round) },
          { table: 'rows', key: 'b', value: round % 2 ? null : 'x' },
        ],
        true,
      );
    // The row and the commit record.
    expect(texts.kept.size).toBe(2);
  });
});

test('[J204, J78] on a device without room answers make room for a write', async () => {
  const stage = new Stage();
  const texts = new Texts();
  const open = (charsMax: number) => {
    const disks = new DeviceDisks(asyncStorageStore(fakeAsyncStorage(texts, 3, charsMax), 1e7));
    const environment = environmentOf(stage.clock, stage.random, stage.network);
    return new Database({ appId: 'app', server: 'http://test' }, { ...environment, disks });
  };
  const settle = async () => {
    for (let turn = 0; turn < 60; turn++) await stage.clock.pass(100);
  };
  const first = open(Infinity);
  for (const etype of ['books', 'people', 'tags'])
    first.observe({ [etype]: {} }).subscribe(() => {});
  await settle();
  first.shutdown();
  await settle();
  const kept = () =>
    [...texts.kept].reduce((sum, [key, text]) => sum + key.length + text.length, 0);
  const before = kept();
  stage.network.isUp = false;
  const second = open(before + 700);
  await settle();
  const done = second.transact(second.tx.tags![entity(90)]!.update({ name: 'x'.repeat(1_200) }));
  await settle();
  expect((await done).status).toBe('enqueued');
  expect(second.storageStatus).toBe('ready');
  expect([...texts.kept.values()].some((text) => text.includes('x'.repeat(1_200)))).toBe(true);
  expect(kept()).toBeLessThan(before);
});
