import type { Config } from '../client/config.ts';
import type { TypedConfig } from '../client/typed.ts';
import type { AnySchema } from '../schema/infer.ts';
import { ReactDatabase } from './database.ts';
import { reactEnvironment } from './environment.ts';
import type { TypedReactDatabase } from './typed.ts';

/**
 * Opens the data of an app, with hooks. With a schema, queries, writes and what is found have its
 * types.
 *
 *     const db = init({ appId: '…', server: 'https://data.example.org', schema });
 *     function Todos() {
 *       const { data, isLoading, error } = db.useQuery({ todos: {} });
 *       …
 *     }
 */
export function init<S extends AnySchema>(config: TypedConfig<S>): TypedReactDatabase<S>;
export function init(config: Config): TypedReactDatabase;
export function init(config: Config): TypedReactDatabase {
  return new ReactDatabase(config, reactEnvironment()) as unknown as TypedReactDatabase;
}

/** @deprecated The name that `init` with a schema had; it is `init`. */
export { init as init_experimental };

export * from '../index.ts';
export type { QueryOptions } from './database.ts';
export { type PageData, PageProvider } from './page.tsx';
export type {
  TypedReactDatabase as ReactDatabase,
  InstantReactAbstractDatabase,
  InstantReactWebDatabase,
} from './typed.ts';
export { Cursors, type CursorsProps } from './cursors.tsx';
export type { PresenceHandle, TypingIndicator, TypingIndicatorOptions } from './room-hooks.ts';
export type { ReactRoom } from './room.ts';
