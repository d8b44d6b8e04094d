import { expectTypeOf, test } from 'vitest';
import type { InstaQLEntity } from '../../src/index.ts';
import { PageProvider, type ReactDatabase } from '../../src/react/index.ts';
import { createInjector, createServerDb, dehydrate, hydrate } from '../../src/ssr/index.ts';
import { shop } from './shop.ts';

type S = typeof shop;
declare const db: ReactDatabase<S>;
declare const html: ReadableStream<Uint8Array>;

test('[J180] what a server finds has the types of its query', async () => {
  const server = createServerDb({ appId: '1', schema: shop, user: null });
  const { data } = await server.preload({ orders: { buyer: {} } });
  expectTypeOf(data?.orders[0]?.buyer).toEqualTypeOf<InstaQLEntity<S, 'people'> | undefined>();
  // @ts-expect-error: no such link
  void server.preload({ orders: { seller: {} } });
  expectTypeOf(hydrate(db, dehydrate(server))).toEqualTypeOf<boolean>();
  PageProvider({ server });
  expectTypeOf(createInjector(server)).toExtend<Parameters<typeof html.pipeThrough>[0]>();
  void html.pipeThrough(createInjector(server));
  PageProvider({ server: createServerDb({ appId: '1' }) });
});
