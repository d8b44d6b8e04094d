import type { ObserverOf, StateOf } from '../client/typed.ts';
import type { InstaQLParams, Known } from '../query/typed.ts';
import type { AnySchema, UnknownSchema } from '../schema/infer.ts';
import type { SchemaShape } from '../schema/shape.ts';
import type { ServerConfig, ServerDb } from './server-db.ts';

/** What `createServerDb` takes with a schema. */
export interface TypedServerConfig<S extends AnySchema> extends Omit<ServerConfig, 'schema'> {
  readonly schema: S & SchemaShape;
}

/** One app's data while one page is made, with the types of its schema. It is a `ServerDb`. */
export interface TypedServerDb<S extends AnySchema = UnknownSchema> extends Omit<
  ServerDb,
  'preload' | 'observe'
> {
  /**
   * Asks a query, once for equal ones, and keeps the answer for the page.
   *
   * returns  what it finds; `error` says why not: that is not kept, and the browser asks again
   */
  preload<Q extends InstaQLParams<S>>(
    query: Q & Known<S, Q>,
    opts?: { ruleParams?: object },
  ): Promise<StateOf<S, Q>>;

  /** One query as hooks see it while the page is made. */
  observe<Q extends InstaQLParams<S>>(
    query: Q & Known<S, Q>,
    opts?: { ruleParams?: object },
  ): ObserverOf<S, Q>;
}
