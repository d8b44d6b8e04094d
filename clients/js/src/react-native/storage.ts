import { type Disk, DiskError, type Disks } from '../client/disk.ts';
import type { TextStorage } from '../client/environment.ts';
import { TriceError } from '../errors.ts';
import { ASYNC_STORAGE_BYTES_MAX, type AsyncStorage, asyncStorageStore } from './async-storage.ts';
import { DeviceDisks, type DeviceStore } from './disks.ts';
import { type Mmkv, MMKV_BYTES_MAX, mmkvStore } from './mmkv.ts';
import { type MmkvPackage, PACKAGES, type Packages } from './packages.ts';
import { type ExpoSqlite, sqliteStore } from './sqlite.ts';

/** Where an app keeps what is to survive it. */
export interface DeviceStorage {
  /** Answers, and writes that wait. */
  readonly disks: Disks;
  /** Who is signed in, and ids of the device. */
  readonly texts: TextStorage;
}

/** Keeps it in files of SQLite. `sqlite`: the package `expo-sqlite`; by default as installed. */
export function expoSqlite({ sqlite = PACKAGES.sqlite }: { sqlite?: ExpoSqlite } = {}) {
  if (!sqlite) throw missing('expo-sqlite');
  return storageOf(sqlite, () => sqliteStore(sqlite));
}

/**
 * Keeps it in MMKV, which holds all of it in memory.
 *
 * create    makes the instance of an id; one of yours may encrypt
 * bytesMax  of each user of each app
 */
export function mmkv({
  create = creatorOf(PACKAGES),
  bytesMax = MMKV_BYTES_MAX,
}: { create?: ((id: string) => Mmkv) | undefined; bytesMax?: number } = {}): DeviceStorage {
  if (!create) throw missing('react-native-mmkv');
  return storageOf(create, () => mmkvStore(create, bytesMax));
}

/**
 * Keeps it in AsyncStorage. Where there is SQLite, that is faster and has more room.
 *
 * store     by default that of the package as installed
 * bytesMax  of each user of each app; on Android all together have 6 MB unless the app says more
 */
export function asyncStorage({
  store = PACKAGES.asyncStorage,
  bytesMax = ASYNC_STORAGE_BYTES_MAX,
}: { store?: AsyncStorage | undefined; bytesMax?: number } = {}): DeviceStorage {
  if (!store) throw missing('@react-native-async-storage/async-storage');
  return storageOf(store, () => asyncStorageStore(store, bytesMax));
}

/** The best that an app has installed. */
export function installedStorage(packages: Packages): DeviceStorage {
  if (packages.sqlite) return expoSqlite({ sqlite: packages.sqlite });
  const create = creatorOf(packages);
  if (create) return mmkv({ create });
  if (packages.asyncStorage) return asyncStorage({ store: packages.asyncStorage });
  throw missing('expo-sqlite, react-native-mmkv or @react-native-async-storage/async-storage');
}

const CREATORS = new WeakMap<MmkvPackage, (id: string) => Mmkv>();

/** Makes instances; the same function for the same package. */
function creatorOf({ mmkv: found }: Packages): ((id: string) => Mmkv) | undefined {
  const { createMMKV, MMKV } = found ?? {};
  if (!found || !(createMMKV ?? MMKV)) return undefined;
  let create = CREATORS.get(found);
  if (!create) {
    create = (id) => (createMMKV ? createMMKV({ id }) : new MMKV!({ id }));
    CREATORS.set(found, create);
  }
  return create;
}

function missing(names: string): TriceError {
  return new TriceError({
    code: 'storage-missing',
    message:
      `Nothing survives the app without a store: install ${names}, and build the app anew. ` +
      'An app that is to keep nothing gives `storage: null` to `init`.',
  });
}

/** Two clients on one store must know of each other's batches, also after one was loaded anew. */
const OPEN = new WeakMap<object, DeviceStorage>();

function storageOf(owner: object, store: () => DeviceStore): DeviceStorage {
  const known = OPEN.get(owner);
  if (known) return known;
  const disks = new DeviceDisks(store());
  const storage = { disks, texts: new DiskTexts(disks) };
  OPEN.set(owner, storage);
  return storage;
}

/** The database of what belongs to no user of an app. */
const ROOT = 'tricedb';

/** Texts by key in a database of their own. One that cannot be read is made anew. */
class DiskTexts implements TextStorage {
  readonly #disks: Disks;
  #disk: Disk | null = null;

  constructor(disks: Disks) {
    this.#disks = disks;
  }

  async get(key: string): Promise<string | null> {
    const rows = await this.#work((disk) =>
      disk.read('meta', { from: key, before: `${key}\u0000` }),
    );
    return rows[0]?.[1] ?? null;
  }

  set(key: string, value: string): Promise<void> {
    return this.#work((disk) => disk.write([{ table: 'meta', key, value }], true));
  }

  remove(key: string): Promise<void> {
    return this.#work((disk) => disk.write([{ table: 'meta', key, value: null }], true));
  }

  async #work<T>(work: (disk: Disk) => Promise<T>): Promise<T> {
    this.#disk ??= await this.#disks.open(ROOT);
    try {
      return await work(this.#disk);
    } catch (error) {
      if (DiskError.of(error).reason !== 'broken') throw error;
      await this.#disk.wipe();
      this.#disk = await this.#disks.open(ROOT);
      return work(this.#disk);
    }
  }
}
