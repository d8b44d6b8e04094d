import type { DeviceStore } from './disks.ts';
import { keyValueStore } from './key-value.ts';

/** What is used of `@react-native-async-storage/async-storage`, up to version 2 and from 3 on. */
export type AsyncStorage = OlderStorage | NewerStorage;

interface OlderStorage {
  getAllKeys(): Promise<readonly string[]>;
  multiGet(keys: readonly string[]): Promise<readonly (readonly [string, string | null])[]>;
  multiSet(pairs: readonly [string, string][]): Promise<void>;
  multiRemove(keys: readonly string[]): Promise<void>;
}

interface NewerStorage {
  getAllKeys(): Promise<readonly string[]>;
  getMany(keys: string[]): Promise<Record<string, string | null>>;
  setMany(entries: Record<string, string>): Promise<void>;
  removeMany(keys: string[]): Promise<void>;
}

/** On Android all of AsyncStorage has 6 MB, and a batch that is under way needs room beside. */
export const ASYNC_STORAGE_BYTES_MAX = 4_000_000;

/** Databases in AsyncStorage, whose keys begin with their names. */
export function asyncStorageStore(storage: AsyncStorage, bytesMax: number): DeviceStore {
  return keyValueStore({
    bytesMax,
    open(name) {
      // No name holds a line end.
      const prefix = `${name}\n`;
      const long = (keys: readonly string[]) => keys.map((key) => prefix + key);
      return {
        async keys() {
          const keys = await storage.getAllKeys();
          return keys.flatMap((key) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []));
        },
        async get(keys) {
          const wanted = long(keys);
          const found =
            'getMany' in storage
              ? new Map(Object.entries(await storage.getMany(wanted)))
              : new Map(await storage.multiGet(wanted));
          return wanted.map((key) => found.get(key));
        },
        async set(pairs) {
          const all = pairs.map(([key, value]) => [prefix + key, value] as [string, string]);
          if ('setMany' in storage) await storage.setMany(Object.fromEntries(all));
          else await storage.multiSet(all);
        },
        async remove(keys) {
          if (keys.length === 0) return;
          if ('removeMany' in storage) await storage.removeMany(long(keys));
          else await storage.multiRemove(long(keys));
        },
      };
    },
  });
}
