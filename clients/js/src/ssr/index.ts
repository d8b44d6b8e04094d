import type { Dehydrated } from '../client/dehydrated.ts';
import type { User } from '../client/user.ts';
import { userInCookie } from '../http/cookie.ts';
import type { AnySchema } from '../schema/infer.ts';
import { fetchEnvironment } from '../web/fetch.ts';
import { type Injector, injectorOf } from './injector.ts';
import { ServerDb, type ServerConfig } from './server-db.ts';
import type { TypedServerConfig, TypedServerDb } from './typed.ts';

/**
 * Opens the data of an app while one page is made on a server, as one user. Make one for each
 * request.
 *
 *     const server = createServerDb({ appId: '…', server: 'https://data.example.org', request });
 *     await server.preload({ todos: {} });
 *     const page = server.dehydrate();
 */
export function createServerDb<S extends AnySchema>(config: TypedServerConfig<S>): TypedServerDb<S>;
export function createServerDb(config: ServerConfig): TypedServerDb;
export function createServerDb(config: ServerConfig): TypedServerDb {
  return new ServerDb(config, fetchEnvironment()) as unknown as TypedServerDb;
}

/** All that was found for a page, as JSON for `hydrate`. */
export function dehydrate(server: Pick<ServerDb, 'dehydrate'>): Dehydrated {
  return server.dehydrate();
}

/**
 * A pair of streams of the web that puts what `server` finds into a page while it streams:
 * `rendered.pipeThrough(createInjector(server))`. Scripts stand in front of what needs them.
 *
 * nonce  that of the page's Content-Security-Policy
 */
export function createInjector(
  server: Pick<ServerDb, 'script'>,
  opts: { readonly nonce?: string | undefined } = {},
): Injector {
  return injectorOf(fetchEnvironment(), () => server.script(opts));
}

/**
 * Who sent a request, by the cookie that `createRouteHandler` made: as the browser says. The server
 * has not been asked whether that is true; what it answers for the user's token is.
 *
 * returns  null where nobody is signed in
 */
export function getUser(
  request: { readonly headers: { get(name: string): string | null } },
  appId: string,
): User | null {
  return userInCookie(request.headers.get('cookie'), appId);
}

export { hydrate, type Hydratable } from './hydrate.ts';
export { createRouteHandler, createRouteHandler as createInstantRouteHandler } from './route.ts';
export { TriceError } from '../errors.ts';
export type { Dehydrated, DehydratedAnswer, PageUser } from '../client/dehydrated.ts';
export type { User } from '../client/user.ts';
export type { Injector } from './injector.ts';
export type { PageRequest, ServerConfig } from './server-db.ts';
export type { TypedServerConfig, TypedServerDb as ServerDb } from './typed.ts';
