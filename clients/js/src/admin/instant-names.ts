/** Names that programs on the original's admin client import, for what has another name here. */
import type { AdminStorage } from './storage.ts';

export { InstantAPIError, InstantError, setInstantWarningsEnabled } from '../instant-names.ts';
export type {
  CardinalityKind,
  InstantUnknownSchema,
  InstantUnknownSchemaDef,
  ValueTypes,
} from '../instant-names.ts';
export type { CreateParams, LinkParams, UpdateParams } from '../pending/typed.ts';
export type {
  InstaQLEntity,
  InstaQLFields,
  InstaQLParams,
  InstaQLResult,
  ValidQuery,
} from '../query/typed.ts';
export type { SchemaDef as InstantSchemaDef } from '../schema/define.ts';
export type { PresenceOf, RoomsOf } from '../schema/infer.ts';
export type { InstantRules } from '../schema/rules.ts';
export type { Impersonated as ImpersonationOpts } from './credentials.ts';
export type { QueryCheck as DebugCheckResult } from './database.ts';
export type { ReadyState as SubscriptionReadyState } from './payloads.ts';
export type { FileOptions as FileOpts } from './storage.ts';
export type {
  ReadOptions as CreateReadStreamOpts,
  TextReadable as InstantReadableStream,
  TextWritable as InstantWritableStream,
  WriteOptions as CreateWriteStreamOpts,
} from './streams.ts';
export type * from '../webhooks/instant-names.ts';

/** The original's name for this type. */
export type UploadFileResponse = Awaited<ReturnType<AdminStorage['uploadFile']>>;
/** The original's name for this type. */
export type DeleteFileResponse = Awaited<ReturnType<AdminStorage['delete']>>;
/** The original's name for this type. */
export type DeleteManyFileResponse = Awaited<ReturnType<AdminStorage['deleteMany']>>;
