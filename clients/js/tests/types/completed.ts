// Places where an editor is asked what may stand there: before each mark, in the line above it.
import type { ReactDatabase } from '../../src/react/index.ts';
import type { Shop, shop } from './shop.ts';

declare const db: ReactDatabase<typeof shop>;
declare const generated: ReactDatabase<Shop>;

export function completed() {
  db.useQuery({});
  //           ^?
  db.useQuery({ orders: {} });
  //                     ^?
  db.useQuery({ orders: { buyer: { $: { where: {} } } } });
  //                                            ^?
  db.useQuery({ orders: { $: { where: { state: 'open' } } } });
  //                                            ^?
  db.useQuery({ orders: { $: { order: {} } } });
  //                                   ^?
  db.useQuery({ orders: { $: { fields: ['total'] } } });
  //                                     ^?
  generated.useQuery({ orders: { buyer: {} } });
  //                                     ^?
  db.tx.people['id']!.update({});
  //                          ^?
  db.tx.people['id']!.link({});
  //                        ^?
}
