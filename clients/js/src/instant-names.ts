/** Names that apps of the original's client import, for what has another name here. */
import type { Auth } from './client/auth.ts';
import type { TransactResult } from './client/database.ts';
import type { Storage } from './client/storage.ts';
import type { UploadOptions } from './client/uploads.ts';
import type { ReadStream, WriteStream } from './client/streams.ts';
import type { InfiniteStateOf, TypedConfig, TypedDatabase } from './client/typed.ts';
import type { UploadResult } from './client/upload.ts';
import { TriceError } from './errors.ts';
import type { InstaQLParams, InstaQLResult, PageInfoOf } from './query/typed.ts';
import type { Peer, Presence, PresenceOptions, PresenceState } from './rooms/presence.ts';
import type { ValueType } from './schema/define.ts';
import type { AnySchema, UnknownSchema } from './schema/infer.ts';
import type { ReadOptions } from './streams/reader.ts';
import type { WriteOptions } from './streams/writer.ts';

/** Another name of TriceError. */
export { TriceError as InstantError };

/**
 * A failure that the server answered: `error instanceof InstantAPIError` is true of every
 * TriceError with a `status`. It has the `body` of the original's, whose `type` is the code.
 */
export class InstantAPIError extends TriceError {
  /** Whether an error is one that the server answered. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    return error instanceof TriceError && error.status !== undefined;
  }
}

/** @deprecated This client prints no warnings: there is nothing to turn off. */
export function setInstantWarningsEnabled(_isEnabled: boolean): void {}

// What has a parameter there for whether dates are `Date` takes one, and does not look at it.

/** The original's name for this type. */
export type InstantConfig<S extends AnySchema = UnknownSchema, _Dates = false> = TypedConfig<S>;
/** The original's name for this type. */
export type InstantCoreDatabase<
  S extends AnySchema = UnknownSchema,
  _Dates = false,
> = TypedDatabase<S>;
/** The original's name for this type. */
export type InstantUnknownSchema = UnknownSchema;
/** The original's name for this type. */
export type InstantUnknownSchemaDef = UnknownSchema;
/** The original's name for this type. */
export type ValueTypes = ValueType;
/** Types of values that the server checks. */
export type InstantDBCheckedDataType = Exclude<ValueType, 'json'>;
/** Whether a link leads to one or to many. */
export type CardinalityKind = 'one' | 'many';

/** The original's name for this type. */
export type TransactionResult = TransactResult;
/** Parameters that rules may ask for. */
export interface RuleParams {
  [name: string]: any;
}
/** What a query takes beside itself. */
export interface InstaQLOptions {
  ruleParams: RuleParams;
}
/** The original's name for this type. */
export type InstaQLQueryParams<S extends AnySchema> = InstaQLParams<S>;
/** The original's name for this type. */
export type InstaQLResponse<S extends AnySchema, Q, _Dates = false> = InstaQLResult<S, Q>;
/** The original's name for this type. */
export type PageInfoResponse<Q> = PageInfoOf<Q>;
/** The original's name for this type. */
export type InfiniteQueryCallbackResponse<S extends AnySchema, Q, _Dates = false> = InfiniteStateOf<
  S,
  Q
>;
/** What `subscribeInfiniteQuery` returns. */
export interface InfiniteQuerySubscription {
  /** Ends it. */
  unsubscribe: () => void;
  /** Asks for the next page, if there is one. */
  loadNextPage: () => void;
}

/** The original's name for this type. */
export type PresencePeer<P extends object = Presence, Keys extends keyof P = keyof P> = Peer<
  Pick<P, Keys>
>;
/** The original's name for this type. */
export type PresenceOpts<P extends object = Presence, _Keys = keyof P> = PresenceOptions<P>;
/** The original's name for this type. */
export type PresenceResponse<
  P extends object = Presence,
  Keys extends keyof P = keyof P,
> = PresenceState<Pick<P, Keys>>;

/** The original's name for this type. */
export type PresenceSlice<P extends object = Presence, Keys extends keyof P = keyof P> = Pick<
  PresenceState<Pick<P, Keys>>,
  'user' | 'peers'
>;

/** The original's name for this type. */
export type FileOpts = UploadOptions;
/** The original's name for this type. */
export type UploadFileResponse = UploadResult;
/** The original's name for this type. */
export type DeleteFileResponse = Awaited<ReturnType<Storage['delete']>>;
/** The original's name for this type. */
export type CreateReadStreamOpts = ReadOptions;
/** The original's name for this type. */
export type CreateWriteStreamOpts = WriteOptions;
/** Of texts only: the parameter is taken and not looked at. */
export type InstantReadableStream<_Text = string> = ReadStream;
/** Of texts only: the parameter is taken and not looked at. */
export type InstantWritableStream<_Text = string> = WriteStream;

type ParamsOf<Name extends keyof Auth> = Auth[Name] extends (params: infer P) => unknown
  ? NonNullable<P>
  : never;
type AnswerOf<Name extends keyof Auth> = Auth[Name] extends (...all: never[]) => Promise<infer R>
  ? R
  : never;

/** The original's name for this type. */
export type SendMagicCodeParams = ParamsOf<'sendMagicCode'>;
/** The original's name for this type. */
export type SendMagicCodeResponse = AnswerOf<'sendMagicCode'>;
/** The original's name for this type. */
export type VerifyMagicCodeParams = ParamsOf<'signInWithMagicCode'>;
/** The original's name for this type. */
export type CheckMagicCodeParams = ParamsOf<'signInWithMagicCode'>;
/** The original's name for this type. */
export type CheckMagicCodeResponse = AnswerOf<'signInWithMagicCode'>;
/** The original's name for this type. */
export type VerifyResponse = AnswerOf<'signInWithToken'>;
/** The original's name for this type. */
export type SignInAsGuestParams = ParamsOf<'signInAsGuest'>;
/** The original's name for this type. */
export type SignInWithIdTokenParams = ParamsOf<'signInWithIdToken'>;
/** The original's name for this type. */
export type ExchangeCodeForTokenParams = ParamsOf<'exchangeOAuthCode'>;
