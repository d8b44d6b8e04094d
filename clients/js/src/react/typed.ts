import type { Database } from '../client/database.ts';
import type { TotalsState } from '../client/totals.ts';
import type {
  FailedState,
  FoundState,
  InfiniteStateOf,
  StateOf,
  TypedDatabase,
} from '../client/typed.ts';
import type { InstaQLParams, Known } from '../query/typed.ts';
import type { AnySchema, PresenceOf, RoomsOf, TopicsOf, UnknownSchema } from '../schema/infer.ts';
import type { QueryOptions, ReactDatabase } from './database.ts';
import type { ReactRoom } from './room.ts';

type Hooks = Omit<
  ReactDatabase,
  | keyof Database
  | 'core'
  | 'useQuery'
  | 'useSuspenseQuery'
  | 'useInfiniteQuery'
  | 'useTotals'
  | 'room'
>;

/** A database with hooks, with the types of its schema. It is a `ReactDatabase`. */
export interface TypedReactDatabase<S extends AnySchema = UnknownSchema>
  extends TypedDatabase<S>, Hooks {
  /** The database itself; in the original it is another object. */
  readonly core: TypedDatabase<S>;

  /** What a query finds, live. `null` asks nothing, and is loading. */
  useQuery<Q extends InstaQLParams<S>>(
    query: (Q & Known<S, Q>) | null,
    opts?: QueryOptions,
  ): StateOf<S, Q>;

  /** The same; the component is suspended until there is data, and fails if there never was any. */
  useSuspenseQuery<Q extends InstaQLParams<S>>(
    query: Q & Known<S, Q>,
    opts?: Pick<QueryOptions, 'ruleParams'>,
  ): FoundState<S, Q> | (FailedState<S, Q> & Pick<FoundState<S, Q>, 'data'>);

  /** A room to give to hooks, which enter it. */
  room<R extends keyof RoomsOf<S> & string>(
    type?: R,
    id?: string,
  ): ReactRoom<PresenceOf<S, R>, TopicsOf<S, R>>;

  /** The rows of all pages loaded so far, live. `null` asks nothing, and is loading. */
  useInfiniteQuery<Q extends InstaQLParams<S>>(
    query: (Q & Known<S, Q>) | null,
    opts?: Pick<QueryOptions, 'ruleParams'>,
  ): InfiniteStateOf<S, Q>;

  /** Totals of what matches, live. `null` asks nothing, and is loading. */
  useTotals<Q extends InstaQLParams<S>>(
    query: (Q & Known<S, Q>) | null,
    opts?: Pick<QueryOptions, 'ruleParams'>,
  ): TotalsState;
}

/** The name that it has in the original; whether dates are `Date` is not looked at. */
export type InstantReactWebDatabase<
  S extends AnySchema = UnknownSchema,
  _Dates = false,
> = TypedReactDatabase<S>;

/** The same: there is no other class to extend. */
export type InstantReactAbstractDatabase<
  S extends AnySchema = UnknownSchema,
  _Dates = false,
> = TypedReactDatabase<S>;
