import type { CallState, PagedRef, PagedState, QueryRef } from '../calls/refs.ts';
import type { StorageStatus } from '../client/disk.ts';
import type { ConnectionStatus } from '../client/session.ts';
import type { TotalsState } from '../client/totals.ts';
import type { InfiniteStateOf, StateOf, TypedDatabase } from '../client/typed.ts';
import type { AuthState, User } from '../client/user.ts';
import type { Entry } from '../pending/entry.ts';
import type { InstaQLParams, Known } from '../query/typed.ts';
import type { Peer, Presence, PresenceOptions } from '../rooms/presence.ts';
import type { AnySchema, PresenceOf, RoomsOf, TopicsOf, UnknownSchema } from '../schema/infer.ts';
import type { PresenceHandle, TypingIndicatorOptions } from './presence.ts';
import type { Room } from './room.ts';
import type { QueryOptions, RuleOptions } from './sources.ts';

/**
 * How a framework gives something of a type: it extends this and says each by `this['of']`.
 */
export interface Form {
  readonly of: unknown;
  /** A value that is live, such as a signal. */
  readonly value: unknown;
  /** A state that is live, with its parts. */
  readonly state: unknown;
  /** What a hook takes: a value, or what gives one. */
  readonly input: unknown;
  /** Listeners for an input. */
  readonly inputProps: unknown;
}

/** Listeners for keys and for leaving, under the names that a framework has for them. */
export type Listeners<KeyDown extends string, Blur extends string> = Readonly<
  Record<KeyDown, (event: { readonly key: string }) => void> & Record<Blur, () => void>
>;

type Value<F extends Form, T> = (F & { readonly of: T })['value'];
type State<F extends Form, T> = (F & { readonly of: T })['state'];
type Input<F extends Form, T> = (F & { readonly of: T })['input'];

/** Who is typing in an input, and how to tell that this user is. */
export interface TypingIndicator<P extends object, Props> {
  /** The others who are typing. */
  readonly active: readonly Peer<P>[];
  /** Tells the others that the user is typing, or is no more. */
  readonly setActive: (isActive: boolean) => void;
  /** Listeners for the input. */
  readonly inputProps: Props;
}

/** The hooks of rooms. They enter the room while their component is there. */
export interface RoomHooks<F extends Form> {
  /** What the members of a room show, live. */
  usePresence<P extends object, T extends object>(
    room: Input<F, Room<P, T>>,
    opts?: PresenceOptions<P>,
  ): State<F, PresenceHandle<P>>;

  /** Shows some fields to the others, and again when they change. */
  useSyncPresence<P extends object, T extends object>(
    room: Input<F, Room<P, T>>,
    fields: Input<F, Partial<P>>,
  ): void;

  /** What tells the others something. */
  usePublishTopic<P extends object, T extends object, K extends keyof T & string>(
    room: Input<F, Room<P, T>>,
    topic: K,
  ): (data: T[K]) => void;

  /** Calls `onEvent` with each message of the others. */
  useTopicEffect<P extends object, T extends object, K extends keyof T & string>(
    room: Input<F, Room<P, T>>,
    topic: K,
    onEvent: (event: T[K], peer: Peer<P> | undefined) => void,
  ): void;

  /** Tells the others that the user is typing in an input, and who of them is. */
  useTypingIndicator<P extends object, T extends object>(
    room: Input<F, Room<P, T>>,
    inputName: string,
    opts?: TypingIndicatorOptions,
  ): State<F, TypingIndicator<P, F['inputProps']>>;
}

/** A room by its name, with its hooks. */
export interface RoomWithHooks<
  F extends Form,
  P extends object = Presence,
  T extends object = Record<string, any>,
> extends Room<P, T> {
  /** What the members show, live. */
  usePresence(opts?: PresenceOptions<P>): State<F, PresenceHandle<P>>;
  /** Shows some fields to the others, and again when they change. */
  useSyncPresence(fields: Input<F, Partial<P>>): void;
  /** What tells the others something. */
  usePublishTopic<K extends keyof T & string>(topic: K): (data: T[K]) => void;
  /** Calls `onEvent` with each message of the others. */
  useTopicEffect<K extends keyof T & string>(
    topic: K,
    onEvent: (event: T[K], peer: Peer<P> | undefined) => void,
  ): void;
  /** Tells the others that the user is typing in an input, and who of them is. */
  useTypingIndicator(
    inputName: string,
    opts?: TypingIndicatorOptions,
  ): State<F, TypingIndicator<P, F['inputProps']>>;
}

/** A database with hooks, with the types of its schema, in the form of a framework. */
export interface DatabaseWithHooks<
  F extends Form,
  S extends AnySchema = UnknownSchema,
> extends TypedDatabase<S> {
  /** What a query finds, live. `null` asks nothing, and is loading. */
  useQuery<Q extends InstaQLParams<S>>(
    query: Input<F, (Q & Known<S, Q>) | null>,
    opts?: QueryOptions,
  ): State<F, StateOf<S, Q>>;

  /** The rows of all pages loaded so far, live. `null` asks nothing, and is loading. */
  useInfiniteQuery<Q extends InstaQLParams<S>>(
    query: Input<F, (Q & Known<S, Q>) | null>,
    opts?: RuleOptions,
  ): State<F, InfiniteStateOf<S, Q>>;

  /** Totals of what matches, live. `null` asks nothing, and is loading. */
  useTotals<Q extends InstaQLParams<S>>(
    query: Input<F, (Q & Known<S, Q>) | null>,
    opts?: RuleOptions,
  ): State<F, TotalsState>;

  /** What a query function returns, live. `null` as arguments asks nothing, and is loading. */
  useCall<Fn extends QueryRef>(
    fn: Fn,
    args: Input<F, Fn['args'] | null>,
  ): State<F, CallState<Fn['result']>>;

  /** What a function lists, of all pages loaded so far, live. `null` as arguments asks nothing. */
  usePagedCall<Fn extends PagedRef>(
    fn: Fn,
    args: Input<F, Fn['list'] | null>,
  ): State<F, PagedState<Fn['item']>>;

  /** Who is signed in, live. */
  useAuth(): State<F, AuthState>;

  /** Who is signed in, where somebody surely is; fails where nobody is. */
  useUser(): State<F, User>;

  /** How the connection is, live. */
  useConnectionStatus(): Value<F, ConnectionStatus>;

  /** The writes that wait, and those that were refused, live. */
  usePending(): Value<F, readonly Entry[]>;

  /** Whether answers and writes that wait survive the page, live. */
  useStorageStatus(): Value<F, StorageStatus>;

  /** An id of this device under a name; null until it is read. */
  useLocalId(name: string): Value<F, string | null>;

  /** The hooks of rooms: `db.rooms.usePresence(room)`. Rooms may be functions. */
  readonly rooms: RoomHooks<F>;

  /** A room to give to hooks, which enter it. */
  room<R extends keyof RoomsOf<S> & string>(
    type?: R,
    id?: string,
  ): RoomWithHooks<F, PresenceOf<S, R>, TopicsOf<S, R>>;
}
