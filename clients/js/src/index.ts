import type { Config } from './client/config.ts';
import { Database } from './client/database.ts';
import type { TypedConfig, TypedDatabase } from './client/typed.ts';
import type { AnySchema } from './schema/infer.ts';
import { webEnvironment, webIds } from './web/environment.ts';

/**
 * Opens the data of an app. Once per app and page is enough: queries that are equal are asked once.
 * With a schema, queries, writes and what is found have its types.
 *
 *     const db = init({ appId: '…', server: 'https://data.example.org', schema });
 */
export function init<S extends AnySchema>(config: TypedConfig<S>): TypedDatabase<S>;
export function init(config: Config): TypedDatabase;
export function init(config: Config): TypedDatabase {
  return new Database(config, webEnvironment()) as unknown as TypedDatabase;
}

/** @deprecated The name that `init` with a schema had; it is `init`. */
export { init as init_experimental };

const newId = webIds();

/** A new id for an entity: ids sort in the order in which they were made. */
export function id(): string {
  return newId();
}

export { i } from './schema/define.ts';
export { lookup, tx } from './pending/builder.ts';
export { TriceError } from './errors.ts';
export * from './instant-names.ts';
export type {
  CallFailed,
  CallFound,
  CallLoading,
  CallObserver,
  CallOptions,
  CallState,
  FunctionRef,
  Live,
  LiveCall,
  Optimistic,
  PagedObserver,
  PagedRef,
  PagedState,
  Prediction,
  PredictedStep,
  PutOptions,
  QueryRef,
} from './calls/refs.ts';
export type { InfiniteQuery, InfiniteState } from './client/infinite.ts';
export type { TotalsObserver, TotalsState } from './client/totals.ts';
export type { Config } from './client/config.ts';
export type { TransactResult } from './client/database.ts';
export type {
  FailedState,
  FoundState,
  LoadingState,
  ObserverOf as Observer,
  StateOf as QueryState,
  TypedConfig,
  TypedDatabase as Database,
} from './client/typed.ts';
export type { Entry, EntryCall, EntryState, EntryUpload } from './pending/entry.ts';
export type {
  ChunkOf as TransactionChunk,
  CreateParams,
  IncrementParams,
  LinkParams,
  MergeParams,
  TxOf,
  UpdateParams,
} from './pending/typed.ts';
export type {
  InstaQLEntity,
  InstaQLFields,
  InstaQLParams,
  InstaQLResult,
  Result,
  Rows,
  ValidQuery,
} from './query/typed.ts';
export type {
  AnySchema,
  PresenceOf,
  RoomsOf,
  TopicOf,
  TopicsOf,
  UnknownSchema,
} from './schema/infer.ts';
export type { AuthState, User } from './client/user.ts';
export type { NewPasskey, Passkey, PasskeyDevice, PasskeySignIn } from './client/passkeys.ts';
export type { ConnectionStatus } from './client/session.ts';
export type { Cursor } from './query/form.ts';
export type { SchemaDef as InstantSchemaDef } from './schema/define.ts';
export type { InstantRules } from './schema/rules.ts';
export type { SchemaShape } from './schema/shape.ts';
export type { ReadStream, Streams, WriteStream } from './client/streams.ts';
export type { Storage } from './client/storage.ts';
export type { UploadOptions } from './client/uploads.ts';
export type { Upload, UploadProgress, UploadResult, UploadState } from './client/upload.ts';
export type { ReadOptions } from './streams/reader.ts';
export type { WriteOptions } from './streams/writer.ts';
export type { Uploadable } from './files/source.ts';
export type { RoomHandle } from './client/rooms.ts';
export type { Peer, Presence, PresenceOptions, PresenceState } from './rooms/presence.ts';
export type { Disk, DiskChange, DiskRange, DiskRow, Disks, StorageStatus } from './client/disk.ts';
export { DiskError } from './client/disk.ts';
export type {
  ConnectionEvent,
  FrameEvent,
  LandEvent,
  RefreshEvent,
  StoreEvent,
  TraceEvent,
  TraceOptions,
  WriteEvent,
} from './trace/events.ts';
export type { Environment, ObjectUrl } from './client/environment.ts';
