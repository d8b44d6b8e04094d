import type { DeviceStore } from './disks.ts';
import { keyValueStore } from './key-value.ts';

/** What is used of an instance of `react-native-mmkv`, from version 2 on. */
export interface Mmkv {
  /** All keys, in any order. */
  getAllKeys(): string[];
  /** The text of a key. */
  getString(key: string): string | undefined;
  /** Keeps a text in the place of what the key had. */
  set(key: string, value: string): void;
  /** From version 4 on. */
  remove?(key: string): unknown;
  /** Before it. */
  delete?(key: string): unknown;
}

/** MMKV holds all of it in memory. */
export const MMKV_BYTES_MAX = 16 * 1024 * 1024;

/** Databases in MMKV, an instance for each. */
export function mmkvStore(create: (id: string) => Mmkv, bytesMax: number): DeviceStore {
  return keyValueStore({
    bytesMax,
    open(name) {
      const mmkv = create(name);
      return {
        keys: async () => mmkv.getAllKeys(),
        get: async (keys) => keys.map((key) => mmkv.getString(key)),
        set: async (pairs) => pairs.forEach(([key, value]) => mmkv.set(key, value)),
        remove: async (keys) =>
          keys.forEach((key) => (mmkv.remove ? mmkv.remove(key) : mmkv.delete?.(key))),
      };
    },
  });
}
