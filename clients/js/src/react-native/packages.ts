import type { AsyncStorage } from './async-storage.ts';
import type { Mmkv } from './mmkv.ts';
import type { ExpoSqlite } from './sqlite.ts';

/** What is used of the package `react-native`. */
export interface AppState {
  readonly currentState: string | null;
  addEventListener(type: 'change', tell: (state: string) => void): { remove(): void };
}

/** What is used of `@react-native-community/netinfo`. */
export interface NetInfo {
  addEventListener(tell: (state: NetState) => void): () => void;
}

export interface NetState {
  readonly type: string;
  readonly isConnected: boolean | null;
}

/** What is used of `expo-crypto`. */
export interface ExpoCrypto {
  getRandomValues(bytes: Uint8Array): unknown;
}

/** `react-native-mmkv` from version 4 on, or before. */
export interface MmkvPackage {
  readonly createMMKV?: (options: { id: string }) => Mmkv;
  readonly MMKV?: new (options: { id: string }) => Mmkv;
}

/** Packages of the app; undefined: it does not have one. */
export interface Packages {
  appState?: AppState | undefined;
  netInfo?: NetInfo | undefined;
  expoCrypto?: ExpoCrypto | undefined;
  sqlite?: ExpoSqlite | undefined;
  mmkv?: MmkvPackage | undefined;
  asyncStorage?: AsyncStorage | undefined;
}

/** Metro gives it to every module. Elsewhere there is none, nor any of the packages. */
declare const require: (name: string) => unknown;

/**
 * What the app has. Metro bundles an app without a package that it requires only where that
 * `require` stands in a `try` itself, and with its name as text. They stand outside of functions,
 * as a package that fails while it is loaded by a function ends the app.
 */
export const PACKAGES: Packages = {};

try {
  PACKAGES.appState = (require('react-native') as { AppState: AppState }).AppState;
} catch {}

try {
  const netInfo = require('@react-native-community/netinfo') as NetInfo & { default?: NetInfo };
  PACKAGES.netInfo = netInfo.default ?? netInfo;
} catch {}

try {
  PACKAGES.expoCrypto = require('expo-crypto') as ExpoCrypto;
} catch {
  try {
    // It adds `crypto.getRandomValues` to the platform.
    require('react-native-get-random-values');
  } catch {}
}

try {
  PACKAGES.sqlite = require('expo-sqlite') as ExpoSqlite;
} catch {}

try {
  PACKAGES.mmkv = require('react-native-mmkv') as MmkvPackage;
} catch {}

try {
  const storage = require('@react-native-async-storage/async-storage') as { default: AsyncStorage };
  PACKAGES.asyncStorage = storage.default;
} catch {}
