import type { Config } from '../client/config.ts';
import type { TypedConfig } from '../client/typed.ts';
import { ReactDatabase } from '../react/database.ts';
import type { TypedReactDatabase } from '../react/typed.ts';
import type { AnySchema, UnknownSchema } from '../schema/infer.ts';
import { idMaker } from '../web/id.ts';
import { nativeEnvironment, randomSource } from './environment.ts';
import { PACKAGES } from './packages.ts';
import { type DeviceStorage, installedStorage } from './storage.ts';

/** What `init` takes beside what it takes elsewhere. */
export interface NativeConfig {
  /**
   * Where answers, writes that wait, and who is signed in survive the app: `expoSqlite()`, `mmkv()`
   * or `asyncStorage()`. By default the first of them that is installed. Null: nothing survives.
   */
  readonly storage?: DeviceStorage | null;
}

/**
 * Opens the data of an app, with hooks. With a schema, queries, writes and what is found have its
 * types.
 *
 *     const db = init({ appId: '…', server: 'https://data.example.org', schema });
 *     function Todos() {
 *       const { data, isLoading, error } = db.useQuery({ todos: {} });
 *       …
 *     }
 *
 * throws  a TriceError: `randomness-missing` or `storage-missing` where the app lacks a package
 */
export function init<S extends AnySchema>(
  config: TypedConfig<S> & NativeConfig,
): TypedReactDatabase<S>;
export function init(config: Config & NativeConfig): TypedReactDatabase;
export function init({ storage, ...config }: Config & NativeConfig): TypedReactDatabase {
  const kept = storage === undefined ? installedStorage(PACKAGES) : storage;
  const environment = nativeEnvironment(kept, PACKAGES);
  return new ReactDatabase(config, environment) as unknown as TypedReactDatabase;
}

/** @deprecated The name that `init` with a schema had; it is `init`. */
export { init as init_experimental };

let makeId: (() => string) | null = null;

/**
 * A new id for an entity: ids sort in the order in which they were made.
 *
 * throws  a TriceError, `randomness-missing`, where the app lacks a package for it
 */
export function id(): string {
  makeId ??= idMaker(Date.now, randomSource(PACKAGES));
  return makeId();
}

/** The original's name of what `init` returns. */
export type InstantReactNativeDatabase<S extends AnySchema = UnknownSchema> = TypedReactDatabase<S>;

export * from '../index.ts';
export type { QueryOptions } from '../react/database.ts';
export type {
  TypedReactDatabase as ReactDatabase,
  InstantReactAbstractDatabase,
} from '../react/typed.ts';
export type {
  PresenceHandle,
  TypingIndicator,
  TypingIndicatorOptions,
} from '../react/room-hooks.ts';
export type { ReactRoom } from '../react/room.ts';
export type { TextStorage } from '../client/environment.ts';
export { asyncStorage, type DeviceStorage, expoSqlite, mmkv } from './storage.ts';
export type { AsyncStorage } from './async-storage.ts';
export type { Mmkv } from './mmkv.ts';
export type { ExpoSqlite } from './sqlite.ts';
