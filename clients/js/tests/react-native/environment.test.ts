import { expect, test } from 'vitest';
import {
  type NativeGlobals,
  nativeEnvironment,
  randomSource,
} from '../../src/react-native/environment.ts';
import type { NetState, Packages } from '../../src/react-native/packages.ts';
import { expoSqlite, installedStorage, mmkv } from '../../src/react-native/storage.ts';
import { fakeAsyncStorage, fakeMmkv, FakeSqlite, Texts } from '../support/device-stores.ts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const expoCrypto = { getRandomValues: (bytes: Uint8Array) => bytes.fill(7) };

/** AppState and NetInfo, to be told what happens. */
class Phone {
  readonly #states = new Set<(state: string) => void>();
  readonly #networks = new Set<(state: NetState) => void>();
  readonly packages: Packages = {
    expoCrypto,
    appState: {
      currentState: 'active',
      addEventListener: (_, tell) => {
        this.#states.add(tell);
        return { remove: () => this.#states.delete(tell) };
      },
    },
    netInfo: {
      addEventListener: (tell) => {
        this.#networks.add(tell);
        // NetInfo tells at once how it is.
        tell({ type: 'wifi', isConnected: true });
        return () => this.#networks.delete(tell);
      },
    },
  };

  state(name: string): void {
    for (const tell of this.#states) tell(name);
  }

  network(type: string, isConnected: boolean | null): void {
    for (const tell of this.#networks) tell({ type, isConnected });
  }

  get listeners(): number {
    return this.#states.size + this.#networks.size;
  }
}

function environmentOf(packages: Packages) {
  return nativeEnvironment(null, packages, globalThis as unknown as NativeGlobals);
}

test('[J206] leaving the front writes what waits, coming back asks the connection', () => {
  const phone = new Phone();
  const environment = environmentOf(phone.packages);
  const seen: string[] = [];
  const stops = [
    environment.onHide!(() => seen.push('hide')),
    environment.onWake(() => seen.push('wake')),
  ];
  for (const state of ['inactive', 'background', 'active']) phone.state(state);
  expect(seen).toEqual(['hide', 'hide', 'wake']);
  for (const stop of stops) stop();
  phone.state('background');
  expect(seen.length).toBe(3);
  expect(phone.listeners).toBe(0);
});

test('[J206] another network wakes; what stays the same, or is none, does not', () => {
  const phone = new Phone();
  let wakes = 0;
  const stop = environmentOf(phone.packages).onWake(() => wakes++);
  expect(wakes).toBe(0);
  phone.network('wifi', true);
  expect(wakes).toBe(0);
  phone.network('none', false);
  expect(wakes).toBe(0);
  phone.network('wifi', true);
  expect(wakes).toBe(1);
  phone.network('cellular', true);
  expect(wakes).toBe(2);
  phone.network('unknown', null);
  expect(wakes).toBe(3);
  stop();
  phone.network('wifi', true);
  expect(wakes).toBe(3);
});

test('[J206] without AppState and NetInfo nothing is told, and nothing fails', () => {
  const environment = environmentOf({ expoCrypto });
  environment.onHide!(() => {})();
  environment.onWake(() => {})();
});

test('[J207] random bytes are of the platform, else of expo-crypto, else an error', () => {
  const filledBy = (source: (bytes: Uint8Array) => void) => {
    const bytes = new Uint8Array(1);
    source(bytes);
    return bytes[0];
  };
  const crypto = { getRandomValues: (bytes: Uint8Array) => bytes.fill(9) };
  expect(filledBy(randomSource({ expoCrypto }, { crypto }))).toBe(9);
  expect(filledBy(randomSource({ expoCrypto }, {}))).toBe(7);
  expect(filledBy(randomSource({ expoCrypto }, { crypto: {} }))).toBe(7);
  expect(() => randomSource({}, {})).toThrow(
    expect.objectContaining({
      code: 'randomness-missing',
      message: expect.stringMatching(/expo-crypto or react-native-get-random-values/) as string,
    }),
  );
});

test('[J205] the first that is installed is used, and without any there is an error', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tricedb-storage-'));
  const sqlite = new FakeSqlite(folder);
  const [fast, slow] = [new Texts(), new Texts()];
  const packages: Packages = {
    sqlite,
    mmkv: { createMMKV: ({ id }) => fakeMmkv(4, () => fast)(id) },
    asyncStorage: fakeAsyncStorage(slow, 3),
  };
  const write = () => installedStorage(packages).texts.set('a', '1');
  await write();
  expect(sqlite.log.filter((sql) => sql === 'COMMIT').length).toBe(1);
  delete packages.sqlite;
  await write();
  expect([fast.kept.size, slow.kept.size]).toEqual([2, 0]);
  delete packages.mmkv;
  await write();
  expect(slow.kept.size).toBe(2);
  delete packages.asyncStorage;
  expect(write).toThrow(expect.objectContaining({ code: 'storage-missing' }));
  rmSync(folder, { recursive: true });
});

test('[J205] two clients on one store share what is open', async () => {
  const instances: string[] = [];
  const create = (id: string) => {
    instances.push(id);
    return fakeMmkv(4, () => new Texts())(id);
  };
  const [one, other] = [mmkv({ create }), mmkv({ create })];
  await one.texts.set('a', '1');
  expect(await other.texts.get('a')).toBe('1');
  expect(instances).toEqual(['tricedb']);
});

test('[J212] texts survive, and begin anew where their database cannot be read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tricedb-texts-'));
  const { texts } = expoSqlite({ sqlite: new FakeSqlite(folder) });
  await texts.set('user', 'Ada');
  await texts.set('user2', 'Bob');
  const again = expoSqlite({ sqlite: new FakeSqlite(folder) }).texts;
  expect(await again.get('user')).toBe('Ada');
  await again.remove('user');
  expect([await again.get('user'), await again.get('user2')]).toEqual([null, 'Bob']);
  const broken = new FakeSqlite(mkdtempSync(join(folder, 'broken')));
  writeFileSync(broken.pathOf('tricedb.db'), 'no database '.repeat(1_000));
  const anew = expoSqlite({ sqlite: broken }).texts;
  expect(await anew.get('user')).toBe(null);
  await anew.set('user', 'Eve');
  expect(await anew.get('user')).toBe('Eve');
  rmSync(folder, { recursive: true });
});

test('[J205] without a storage texts live as long as the app', async () => {
  const { storage, disks } = environmentOf({ expoCrypto });
  await storage.set('a', '1');
  expect(await storage.get('a')).toBe('1');
  await storage.remove('a');
  expect(await storage.get('a')).toBe(null);
  expect(disks).toBe(undefined);
});
