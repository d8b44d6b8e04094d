import type { Config } from '../client/config.ts';
import type { TypedConfig } from '../client/typed.ts';
import type { User } from '../client/user.ts';
import { cookieName, userOf } from '../http/cookie.ts';
import { ReactDatabase } from '../react/database.ts';
import { reactEnvironment } from '../react/environment.ts';
import type { TypedReactDatabase } from '../react/typed.ts';
import type { AnySchema } from '../schema/infer.ts';
import {
  createServerDb as createPlainServerDb,
  type ServerConfig,
  type ServerDb,
} from '../ssr/index.ts';
import type { TypedServerConfig, TypedServerDb } from '../ssr/typed.ts';
import { withHandle, withToken } from './handles.ts';

/**
 * Opens the data of an app, with hooks, for Next. While Next makes a page nothing is connected:
 * `TriceProvider` asks for each page by itself.
 *
 *     export const db = init({ appId: '…', server: '…', firstPartyPath: '/api/trice' });
 */
export function init<S extends AnySchema>(config: TypedConfig<S>): TypedReactDatabase<S>;
export function init(config: Config): TypedReactDatabase;
export function init(config: Config): TypedReactDatabase {
  return new ReactDatabase(config, reactEnvironment()) as unknown as TypedReactDatabase;
}

/**
 * Who sent the request that Next answers, by the cookie of `createRouteHandler`: as the browser
 * says. The server has not been asked whether that is true; what it answers for the token is.
 * Props of components of the browser are written into the page, so that the user has no token: its
 * place has a handle, which `TriceProvider` and `createServerDb` understand for 60 s. Who needs the
 * token itself has it of `getUser` of `tricedb/ssr`.
 *
 * returns  null where nobody is signed in
 */
export async function getUser(appId: string): Promise<User | null> {
  const { cookies } = await import('next/headers.js');
  const user = userOf((await cookies()).get(cookieName(appId))?.value ?? '');
  return user && withHandle(user);
}

/** That of `tricedb/ssr`; `user` may be what `getUser` gave. */
export function createServerDb<S extends AnySchema>(config: TypedServerConfig<S>): TypedServerDb<S>;
export function createServerDb(config: ServerConfig): ServerDb;
export function createServerDb(config: ServerConfig): ServerDb {
  return createPlainServerDb({ ...config, user: withToken(config.user) });
}

export { getUser as getUnverifiedUserFromInstantCookie, getUser as getUserFromInstantCookie };
export {
  TriceProvider,
  TriceProvider as InstantSuspenseProvider,
  type TriceProviderProps,
} from './provider.tsx';
export {
  createInjector,
  createInstantRouteHandler,
  createRouteHandler,
  dehydrate,
  hydrate,
  type Dehydrated,
  type ServerConfig,
  type ServerDb,
} from '../ssr/index.ts';
export * from '../index.ts';
