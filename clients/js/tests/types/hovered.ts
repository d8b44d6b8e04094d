// Names that editors are asked about: each stands above a mark.
import type { Database, InstaQLEntity } from '../../src/index.ts';
import type { ReactDatabase } from '../../src/react/index.ts';
import type { Shop, shop } from './shop.ts';

type Inferred = typeof shop;
interface AppSchema extends Inferred {}

declare const db: Database<AppSchema>;
declare const react: ReactDatabase<AppSchema>;
declare const generated: ReactDatabase<Shop>;

export function hovered() {
  const { data } = react.useQuery({ orders: { buyer: {} }, people: {} });
  //      ^?
  const people = data!.people;
  //    ^?
  const order = data!.orders[0]!;
  //    ^?
  const buyer = order.buyer;
  //    ^?
  const { data: flat } = generated.useQuery({ orders: { buyer: {} }, people: {} });
  //            ^?
  const flatOrder = flat!.orders[0]!;
  //    ^?
  const chunk = db.tx.people['id']!;
  //    ^?
  const changed = chunk.update({ age: 7 });
  //                    ^?
  const some = db.queryOnce({ people: { $: { fields: ['name'] } } });
  //    ^?
  const written = db.transact(changed);
  //    ^?
  return { people, order, buyer, flatOrder, some, written } satisfies object;
}

export type Order = InstaQLEntity<AppSchema, 'orders', { buyer: {} }>;
//          ^?
