import type { AnySchema } from '../schema/infer.ts';
import { fetchEnvironment } from '../web/fetch.ts';
import { type AdminConfig, AdminDatabase } from './database.ts';
import type { TypedAdminConfig, TypedAdminDatabase } from './typed.ts';

/**
 * Opens the data of an app from a program on a server. It needs `fetch` and nothing else: Node,
 * Bun, Deno and edge runtimes have it. With a schema, queries, writes and what is found have its
 * types.
 *
 *     const db = init({ appId: '…', adminToken: '…', server: 'https://data.example.org', schema });
 */
export function init<S extends AnySchema>(config: TypedAdminConfig<S>): TypedAdminDatabase<S>;
export function init(config: AdminConfig): TypedAdminDatabase;
export function init(config: AdminConfig): TypedAdminDatabase {
  return new AdminDatabase(config, fetchEnvironment()) as unknown as TypedAdminDatabase;
}

/** @deprecated The name that `init` with a schema had; it is `init`. */
export { init as init_experimental };

const { id: nextId } = fetchEnvironment();

/** A new id for an entity: ids sort in the order in which they were made. */
export function id(): string {
  return nextId();
}

export { i } from '../schema/define.ts';
export { lookup, tx } from '../pending/builder.ts';
export { TriceError } from '../errors.ts';
export * from './instant-names.ts';
export type {
  AdminConfig,
  AdminQueryOptions,
  DebugOptions,
  DebugQueryOptions,
  DebugTransactResult,
  QueryCheck,
} from './database.ts';
export type {
  AdminResult,
  PeerOf,
  TypedAdminConfig,
  TypedAdminDatabase as AdminDatabase,
  TypedAdminRooms as AdminRooms,
} from './typed.ts';
export type {
  ChunkOf as TransactionChunk,
  CreateParams,
  IncrementParams,
  LinkParams,
  MergeParams,
  TxOf,
  UpdateParams,
} from '../pending/typed.ts';
export type { InstaQLEntity, InstaQLFields, InstaQLParams, ValidQuery } from '../query/typed.ts';
export type {
  AnySchema,
  PresenceOf,
  RoomsOf,
  TopicOf,
  TopicsOf,
  UnknownSchema,
} from '../schema/infer.ts';
export type { SchemaDef as InstantSchemaDef } from '../schema/define.ts';
export type { InstantRules } from '../schema/rules.ts';
export type { SchemaShape } from '../schema/shape.ts';
export type { AdminAuth, NewUser, Whom } from './auth.ts';
export type { Impersonated } from './credentials.ts';
export type { Failed, Found, PageInfo, Payload, ReadyState, SessionInfo } from './payloads.ts';
export type { Peer } from './rooms.ts';
export type { AdminStorage, FileBody, FileOptions, ListedFile } from './storage.ts';
export type {
  AdminStreams,
  ReadOptions,
  TextReadable,
  TextWritable,
  WriteOptions,
} from './streams.ts';
export type { Subscription } from './subscription.ts';
export type { User } from '../client/user.ts';
export type {
  Webhook,
  WebhookAction,
  WebhookAttempt,
  WebhookEvent,
  WebhookEvents,
  WebhookParams,
  WebhookPayload,
  WebhooksManager,
} from '../webhooks/webhooks.ts';
export type {
  ValidateOptions,
  WebhookBody,
  WebhookHandler,
  WebhookHandlers,
  WebhookRecord,
  Webhooks,
} from '../webhooks/receiver.ts';
