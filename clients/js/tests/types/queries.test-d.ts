import { expectTypeOf, test } from 'vitest';
import type {
  Database,
  FoundState,
  InstaQLEntity,
  InstaQLParams,
  InstaQLResult,
  QueryState,
  Result,
  Rows,
  TriceError,
} from '../../src/index.ts';
import { i } from '../../src/index.ts';
import type { ReactDatabase } from '../../src/react/index.ts';
import type { Shop, shop } from './shop.ts';

type S = typeof shop;
declare const db: Database<S>;
declare const react: ReactDatabase<S>;
declare const generated: ReactDatabase<Shop>;
declare const open: ReactDatabase;

/** What a query finds, without asking. */
declare function found<Q extends InstaQLParams<S>>(query: Q): InstaQLResult<S, Q>;

test('[J61] rows have the fields of the schema, optional ones as optional keys', () => {
  const [order] = found({ orders: {} }).orders;
  expectTypeOf(order!).toEqualTypeOf<{
    id: string;
    state: 'open' | 'paid';
    placedAt: string | number;
    isGift: boolean;
    address: { street: string; zip?: string };
    total: number;
    paidAt?: string | number;
    note?: any;
  }>();
  // @ts-expect-error: no such field
  order!.totl;
  expectTypeOf<InstaQLEntity<S, 'people'>['age']>().toEqualTypeOf<number | undefined>();
  expectTypeOf<Rows<S, 'people'>[number]>().toEqualTypeOf<InstaQLEntity<S, 'people'>>();
});

test('[J61] `fields` leaves those alone, and the id', () => {
  const [order] = found({ orders: { $: { fields: ['state', 'paidAt'] } } }).orders;
  expectTypeOf(order!).toEqualTypeOf<{
    id: string;
    state: 'open' | 'paid';
    paidAt?: string | number;
  }>();
  type Named = InstaQLEntity<S, 'people', {}, ['name']>;
  expectTypeOf<Named>().toEqualTypeOf<{ id: string; name: string }>();
  const [person] = found({ people: { orders: { $: { fields: ['isGift'] } } } }).people;
  expectTypeOf(person!.orders[0]!).toEqualTypeOf<{ id: string; isGift: boolean }>();
  // @ts-expect-error: fields are checked
  found({ orders: { $: { fields: ['name'] } } });
});

test('[J61] `asType` replaces the types of fields', () => {
  const typed = i.schema({
    entities: {
      notes: i
        .entity({ text: i.string(), tags: i.json(), due: i.date().optional() })
        .asType<{ tags: string[] }>(),
    },
  });
  type Note = InstaQLEntity<typeof typed, 'notes'>;
  expectTypeOf<Note['tags']>().toEqualTypeOf<string[]>();
  expectTypeOf<Note['text']>().toEqualTypeOf<string>();
  expectTypeOf<Note['due']>().toEqualTypeOf<string | number | undefined>();
});

test('[J62] a link to one is its row or nothing, a link to many a list', () => {
  const { orders } = found({ orders: { buyer: { friends: {}, $user: {} } } });
  expectTypeOf(orders[0]!.buyer?.name).toEqualTypeOf<string | undefined>();
  // @ts-expect-error: there may be none
  orders[0]!.buyer.name;
  expectTypeOf(orders[0]!.buyer!.friends[0]!.handle).toEqualTypeOf<string>();
  expectTypeOf(orders[0]!.buyer!.$user?.email).toEqualTypeOf<string | undefined>();
  // @ts-expect-error: only what the query follows is there
  orders[0]!.buyer!.orders;
  const { people } = found({ people: {} });
  // @ts-expect-error: it follows nothing
  people[0]!.orders;
  type Buyer = InstaQLEntity<S, 'orders', { buyer: {} }>['buyer'];
  expectTypeOf<Buyer>().toEqualTypeOf<InstaQLEntity<S, 'people'> | undefined>();
});

test('[J63] a name that the schema lacks is refused, at any depth', () => {
  react.useQuery({ orders: { buyer: { friends: {} } }, people: {} });
  // @ts-expect-error: no such namespace
  react.useQuery({ orders: {}, customers: {} });
  // @ts-expect-error: no such link
  react.useQuery({ orders: { buyer: {}, seller: {} } });
  // @ts-expect-error: no such link, two levels down
  react.useQuery({ orders: { buyer: { friends: {}, enemies: {} } } });
  // @ts-expect-error: no such option
  react.useQuery({ orders: { $: { limit: 1, wehre: {} } } });
  // @ts-expect-error: no such link
  db.subscribeQuery({ orders: { seller: {}, buyer: {} } }, () => {});
  // @ts-expect-error: no such link
  void db.queryOnce({ orders: { seller: {}, buyer: {} } });
  // @ts-expect-error: no such link
  react.useSuspenseQuery({ orders: { seller: {}, buyer: {} } });
  // @ts-expect-error: no such link
  generated.useQuery({ orders: { seller: {}, buyer: {} } });
});

test('[J63] the names of conditions are checked, in paths and in `and` and `or` too', () => {
  react.useQuery({ orders: { $: { where: { state: 'open', 'buyer.name': 'Ann', buyer: 'id' } } } });
  react.useQuery({ people: { $: { where: { 'orders.buyer.age': { $gt: 3 }, id: 'x' } } } });
  react.useQuery({ orders: { $: { where: { or: [{ state: 'open' }, { 'buyer.age': 3 }] } } } });
  // @ts-expect-error: no such field
  react.useQuery({ orders: { $: { where: { state: 'open', stat: 1 } } } });
  // @ts-expect-error: no such field behind the link
  react.useQuery({ orders: { $: { where: { 'buyer.nmae': 'Ann' } } } });
  // @ts-expect-error: no such link in the path
  react.useQuery({ orders: { $: { where: { 'seller.name': 'Ann' } } } });
  // @ts-expect-error: no such field in an alternative
  react.useQuery({ orders: { $: { where: { or: [{ state: 'open' }, { stat: 1 }] } } } });
  // @ts-expect-error: no such field, nested
  react.useQuery({ people: { orders: { $: { where: { isGift: true, totl: 1 } } } } });
});

test('[J63] the values of conditions and options are checked', () => {
  react.useQuery({
    orders: { $: { where: { placedAt: { $gt: new Date() }, total: { $in: [1] } } } },
  });
  react.useQuery({
    orders: { $: { where: { state: { $like: 'o%' }, paidAt: { $isNull: true } } } },
  });
  // @ts-expect-error: none of the texts
  react.useQuery({ orders: { $: { where: { state: 'closed' } } } });
  // @ts-expect-error: a number
  react.useQuery({ orders: { $: { where: { total: '3' } } } });
  // @ts-expect-error: patterns are for text
  react.useQuery({ orders: { $: { where: { total: { $like: '3' } } } } });
  react.useQuery({ orders: { $: { order: { placedAt: 'desc' }, first: 3 } } });
  react.useQuery({ orders: { $: { order: { serverCreatedAt: 'asc' } } } });
  // @ts-expect-error: the server orders by indexed fields only
  react.useQuery({ orders: { $: { order: { total: 'desc' } } } });
  // @ts-expect-error: a direction
  react.useQuery({ orders: { $: { order: { placedAt: 'down' } } } });
});

test('[J63] a query made elsewhere is taken with its type', () => {
  const query = { orders: { buyer: {} } } satisfies InstaQLParams<S>;
  expectTypeOf(found(query).orders[0]!.buyer).toEqualTypeOf<
    InstaQLEntity<S, 'people'> | undefined
  >();
  expectTypeOf<Result<S, typeof query>>().toEqualTypeOf<InstaQLResult<S, typeof query>>();
  const wide: InstaQLParams<S> = {};
  react.useQuery(wide);
  const anything: any = {};
  react.useQuery(anything);
  react.useQuery(null);
  const isReady = Boolean(query);
  const { data } = react.useQuery(isReady ? { people: {} } : null);
  expectTypeOf(data?.people[0]?.name).toEqualTypeOf<string | undefined>();
});

test('[J61] a state says whether there is data, and why not', () => {
  const state = react.useQuery({ people: {} });
  expectTypeOf(state).toEqualTypeOf<QueryState<S, { people: {} }>>();
  if (state.isLoading) expectTypeOf(state.data).toEqualTypeOf<undefined>();
  else if (state.error) expectTypeOf(state.error).toEqualTypeOf<TriceError>();
  else expectTypeOf(state.data.people[0]!.name).toEqualTypeOf<string>();
  // @ts-expect-error: it may be loading
  state.data.people;
  const { data, isLoading, error } = react.useQuery({ people: {} });
  if (!isLoading && !error) expectTypeOf(data.people[0]!.handle).toEqualTypeOf<string>();
  expectTypeOf(react.useSuspenseQuery({ people: {} }).data.people[0]!.name).toEqualTypeOf<string>();
  expectTypeOf(db.queryOnce({ people: {} })).resolves.toEqualTypeOf<
    FoundState<S, { people: {} }>
  >();
  db.subscribeQuery({ people: {} }, (told) => {
    expectTypeOf(told.data?.people[0]!.name).toEqualTypeOf<string | undefined>();
    expectTypeOf(told.pageInfo?.people?.hasNextPage).toEqualTypeOf<boolean | undefined>();
  });
});

test('[J67] without a schema all names are taken, and values are any', () => {
  const { data } = open.useQuery({ anything: { $: { where: { x: { $gt: 1 } } }, linked: {} } });
  expectTypeOf(data!.anything![0]!.whatever).toBeAny();
  expectTypeOf(data!.anything![0]!.id).toEqualTypeOf<string>();
  expectTypeOf(data!.anything![0]!.linked[0]!.more).toBeAny();
  open.tx.anything!['id']!.create({ a: 1 }).link({ linked: 'id' }).update({ b: null });
  open.tx.anything!.lookup('email', 'a@b.c').delete();
});

test('[J68] generated interfaces give the types that are inferred', () => {
  expectTypeOf<InstaQLEntity<Shop, 'orders'>>().toEqualTypeOf<InstaQLEntity<S, 'orders'>>();
  expectTypeOf<InstaQLEntity<Shop, 'people', { friends: {} }>['friends']>().toEqualTypeOf<
    InstaQLEntity<S, 'people', { friends: {} }>['friends']
  >();
  expectTypeOf<S['writes']['orders']>().toEqualTypeOf<Shop['writes']['orders']>();
  expectTypeOf<S['unique'][keyof S['unique']]>().toEqualTypeOf<'email' | 'handle'>();
  expectTypeOf<S['indexed']['orders']>().toEqualTypeOf<Shop['indexed']['orders']>();
  expectTypeOf<S['by']['people']['$user']['to']>().toEqualTypeOf<'$users'>();
  expectTypeOf<S['by']['people']['friends']['has']>().toEqualTypeOf<'many'>();
});

test('[J140] a state says where rows are from, and whether all of them are there', () => {
  const state = react.useQuery({ orders: {} });
  expectTypeOf(state.isComplete).toEqualTypeOf<boolean>();
  expectTypeOf(state.source).toEqualTypeOf<'server' | 'cache' | 'partial' | undefined>();
});
