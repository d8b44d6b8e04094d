import { expectTypeOf, test } from 'vitest';
import type { InstaQLEntity } from '../../src/index.ts';
import type { ReactDatabase } from '../../src/react/index.ts';
import type { shop } from './shop.ts';

type S = typeof shop;
declare const db: ReactDatabase<S>;

test('[J61, J63] lists of pages and totals have the types of their query', () => {
  const { data } = db.useInfiniteQuery({ orders: { buyer: {} } });
  const list = db.useInfiniteQuery({ people: {} });
  if (!list.error && !list.isLoading)
    expectTypeOf(list.data.people[0]?.name).toEqualTypeOf<string | undefined>();
  expectTypeOf(data?.orders[0]?.buyer).toEqualTypeOf<InstaQLEntity<S, 'people'> | undefined>();
  db.subscribeInfiniteQuery({ people: {} }, (state) => {
    expectTypeOf(state.data?.people[0]?.name).toEqualTypeOf<string | undefined>();
  });
  db.useTotals({ orders: { $: { aggregate: { count: true, sum: 'total', groupBy: 'buyer' } } } });
  // @ts-expect-error: no such link
  db.useInfiniteQuery({ orders: { seller: {} } });
  // @ts-expect-error: no such field
  db.useTotals({ orders: { $: { aggregate: { sum: 'totl' } } } });
});
