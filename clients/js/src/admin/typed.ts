import type { TxOf } from '../pending/typed.ts';
import type { InstaQLParams, InstaQLResult, Known } from '../query/typed.ts';
import type { AnySchema, PresenceOf, RoomsOf, TopicsOf, UnknownSchema } from '../schema/infer.ts';
import type { SchemaShape } from '../schema/shape.ts';
import type { Impersonated } from './credentials.ts';
import type {
  AdminConfig,
  AdminDatabase,
  AdminQueryOptions,
  DebugQueryOptions,
  QueryCheck,
} from './database.ts';
import type { Payload } from './payloads.ts';
import type { AdminRooms, Peer } from './rooms.ts';
import type { Subscription } from './subscription.ts';

/** What `init` takes with a schema: the value of `i.schema`, or one that was generated. */
export interface TypedAdminConfig<S extends AnySchema> extends Omit<AdminConfig, 'schema'> {
  /** Links to one are objects by it, and unknown names in writes are refused. */
  readonly schema: S & SchemaShape;
}

/** What a query finds: over HTTP a link to one that is not there is null. */
export type AdminResult<S extends AnySchema, Q> = InstaQLResult<S, Q, null>;

/** One who is in a room, and shows what the room's type has. */
export interface PeerOf<P extends object> extends Omit<Peer, 'data'> {
  readonly data: P;
}

/** Rooms of the app, with the types of its schema. */
export interface TypedAdminRooms<S extends AnySchema> extends Omit<
  AdminRooms,
  'getPresence' | 'setPresence' | 'publishTopic'
> {
  /** Who is in a room, by peer id. */
  getPresence<R extends keyof RoomsOf<S> & string>(
    roomType: R,
    roomId: string,
  ): Promise<Record<string, PeerOf<PresenceOf<S, R>>>>;

  /**
   * Shows a member that stands for a service, until `ttlS` seconds have passed without another such
   * call (the server's own bounds hold for them), or until it is removed.
   */
  setPresence<R extends keyof RoomsOf<S> & string>(
    roomType: R,
    roomId: string,
    member: { readonly peerId: string; readonly data?: PresenceOf<S, R>; readonly ttlS?: number },
  ): Promise<void>;

  /** Sends a message to all in a room. `peerId`: the member that it comes from. */
  publishTopic<R extends keyof RoomsOf<S> & string, T extends keyof TopicsOf<S, R> & string>(
    roomType: R,
    roomId: string,
    message: {
      readonly topic: T;
      readonly data?: TopicsOf<S, R>[T];
      readonly peerId?: string;
    },
  ): Promise<void>;
}

/**
 * One app's data, for the app's own server, with the types of its schema. It is an `AdminDatabase`.
 */
export interface TypedAdminDatabase<S extends AnySchema = UnknownSchema> extends Omit<
  AdminDatabase,
  'tx' | 'rooms' | 'asUser' | 'query' | 'subscribeQuery' | 'debugQuery'
> {
  /** What `transact` takes: `db.tx.todos[id].update({…})`. */
  readonly tx: TxOf<S>;

  /** Who is in rooms, and members and messages of one's own. */
  readonly rooms: TypedAdminRooms<S>;

  /**
   * The same app as a user sees it: rules are asked. By address it takes the admin token; by
   * refresh token and as a guest it does not. `auth` and `rooms` stay the admin's.
   */
  asUser(whom: Impersonated): TypedAdminDatabase<S>;

  /** Asks once. */
  query<Q extends InstaQLParams<S>>(
    query: Q & Known<S, Q>,
    opts?: AdminQueryOptions,
  ): Promise<AdminResult<S, Q>>;

  /**
   * Asks, and goes on to tell what is found whenever it changes. Lost connections are made anew.
   *
   *     const todos = db.subscribeQuery({ todos: {} });
   *     for await (const payload of todos) if (payload.type === 'ok') show(payload.data);
   *
   * tell  called with each payload; `for await` reads them too
   */
  subscribeQuery<Q extends InstaQLParams<S>>(
    query: Q & Known<S, Q>,
    tell?: (payload: Payload<AdminResult<S, Q>>) => void,
    opts?: AdminQueryOptions,
  ): Subscription<AdminResult<S, Q>>;

  /** What a user would find, and what each rule said. Behind `asUser`, with the admin token. */
  debugQuery<Q extends InstaQLParams<S>>(
    query: Q & Known<S, Q>,
    opts?: DebugQueryOptions,
  ): Promise<{ result: AdminResult<S, Q>; checkResults: QueryCheck[] }>;
}
