import { expectTypeOf, test } from 'vitest';
import type {
  CreateParams,
  Database,
  InstantRules,
  LinkParams,
  PresenceOf,
  RoomsOf,
  TopicOf,
  TopicsOf,
  TransactionChunk,
  UnknownSchema,
  UpdateParams,
} from '../../src/index.ts';
import { i, id, init, lookup } from '../../src/index.ts';
import { init as initReact, type ReactDatabase } from '../../src/react/index.ts';
import { type Shop, shop } from './shop.ts';

type S = typeof shop;
declare const db: Database<S>;
declare const generated: Database<Shop>;

const ORDER = {
  state: 'open',
  placedAt: new Date(0),
  isGift: false,
  address: { street: 'Main' },
  total: 3,
} as const;

test('[J64] `create` takes all required fields, dates also as Date', () => {
  db.tx.orders[id()]!.create({ ...ORDER, placedAt: 7, paidAt: '2026-01-01' });
  db.tx.orders[id()]!.create(ORDER).link({ buyer: id() });
  generated.tx.orders[id()]!.create(ORDER);
  // @ts-expect-error: fields are missing
  db.tx.orders[id()]!.create({ state: 'open' });
  // @ts-expect-error: none of the texts
  db.tx.orders[id()]!.create({ ...ORDER, state: 'closed' });
  // @ts-expect-error: the id stands before
  db.tx.people[id()]!.create({ id: id(), name: 'Ann', handle: 'ann' });
  expectTypeOf<CreateParams<S, 'people'>>().toEqualTypeOf<{
    name: string;
    handle: string;
    age?: number | null;
  }>();
});

test('[J64] `update` takes any fields, and null where one is optional', () => {
  db.tx.people[id()]!.update({ age: null }, { upsert: false });
  db.tx.people[id()]!.update({ name: 'Ann' }).merge({ handle: 'ann' }).delete();
  // @ts-expect-error: it is required
  db.tx.people[id()]!.update({ name: null });
  // @ts-expect-error: no such field
  db.tx.people[id()]!.update({ nmae: 'Ann' });
  // @ts-expect-error: no such field
  db.tx.people[id()]!.merge({ nmae: 'Ann' });
  // @ts-expect-error: a number
  db.tx.people[id()]!.update({ age: '7' });
  db.tx.people[id()]!.increment({ age: -1 }, { upsert: false }).increment({ age: 2 });
  // @ts-expect-error: a number
  db.tx.people[id()]!.increment({ age: '1' });
  // @ts-expect-error: it holds no number
  db.tx.people[id()]!.increment({ name: 1 });
  // @ts-expect-error: no such namespace
  db.tx.customers;
  expectTypeOf<UpdateParams<S, '$users'>>().toEqualTypeOf<{ email?: string | null }>();
});

test('[J64] a link takes an id where it leads to one, else one or many', () => {
  db.tx.orders[id()]!.link({ buyer: lookup('handle', 'ann') });
  db.tx.people[id()]!.link({ orders: [id(), id()], friends: id() }).unlink({ $user: id() });
  // @ts-expect-error: it leads to one
  db.tx.orders[id()]!.link({ buyer: [id()] });
  // @ts-expect-error: no such link
  db.tx.orders[id()]!.link({ seller: id() });
  // @ts-expect-error: a field is no link
  db.tx.orders[id()]!.link({ state: id() });
  expectTypeOf<LinkParams<S, 'orders'>>().toEqualTypeOf<{ buyer?: string }>();
});

test('[J64] `lookup` takes unique fields and their values', () => {
  db.tx.people.lookup('handle', 'ann').update({ name: 'Ann' });
  db.tx.$users.lookup('email', 'a@b.c').link({ person: id() });
  // @ts-expect-error: it is not unique
  db.tx.people.lookup('name', 'Ann');
  // @ts-expect-error: text
  db.tx.people.lookup('handle', 7);
  // @ts-expect-error: none is unique
  db.tx.orders.lookup('state', 'open');
});

test('[J64] `transact` takes chunks of all namespaces, and lists of them', async () => {
  const chunks: TransactionChunk<S, 'people' | 'orders'>[] = [];
  const any: TransactionChunk<any, any>[] = [db.tx.people[id()]!.delete()];
  const done = await db.transact([
    db.tx.people[id()]!.delete(),
    db.tx.orders[id()]!.delete(),
    ...any,
    ...chunks,
  ]);
  expectTypeOf(done.status).toEqualTypeOf<'synced' | 'enqueued'>();
  db.pending.edit('id', db.tx.people[id()]!.delete());
  // @ts-expect-error: no chunk
  void db.transact({ people: {} });
  // @ts-expect-error: a namespace is no chunk
  void db.transact(db.tx.people);
});

test('[J65] presence and topics of a room have the types of the schema', () => {
  expectTypeOf<keyof RoomsOf<S>>().toEqualTypeOf<'counter' | 'quiet'>();
  expectTypeOf<PresenceOf<S, 'counter'>>().toEqualTypeOf<{ name: string; x?: number }>();
  expectTypeOf<keyof TopicsOf<S, 'counter'>>().toEqualTypeOf<'bell'>();
  expectTypeOf<TopicOf<S, 'counter', 'bell'>>().toEqualTypeOf<{ times: number }>();
  expectTypeOf<TopicsOf<S, 'quiet'>>().toEqualTypeOf<{}>();
  expectTypeOf<PresenceOf<UnknownSchema, 'any'>>().toBeAny();
  expectTypeOf<TopicOf<UnknownSchema, 'any', 'any'>>().toBeAny();
  expectTypeOf<PresenceOf<Shop, 'counter'>>().toEqualTypeOf<{ name: string; x?: number }>();
  expectTypeOf<TopicOf<Shop, 'counter', 'bell'>>().toEqualTypeOf<{ times: number }>();
});

test('[J60] `init` takes the types of its schema; the schema file of the original works', () => {
  type AppSchemaInferred = typeof shop;
  interface AppSchema extends AppSchemaInferred {}
  const schema: AppSchema = shop;
  const typed = () => init({ appId: 'app', schema });
  expectTypeOf(typed).returns.toEqualTypeOf<Database<AppSchema>>();
  const typedReact = () => initReact<AppSchema>({ appId: 'app', schema, server: 'http://x' });
  expectTypeOf(typedReact).returns.toEqualTypeOf<ReactDatabase<AppSchema>>();
  const flat = (value: Shop) => initReact({ appId: 'app', schema: value });
  expectTypeOf(flat).returns.toEqualTypeOf<ReactDatabase<Shop>>();
  const open = () => init({ appId: 'app' });
  expectTypeOf(open).returns.toEqualTypeOf<Database>();
  // @ts-expect-error: links to one would be lists: types need the schema itself
  () => init<AppSchema>({ appId: 'app' });
  i.schema({
    entities: { a: i.entity({}) },
    links: {
      aToB: {
        forward: { on: 'a', has: 'many', label: 'b' },
        // @ts-expect-error: no such namespace
        reverse: { on: 'b', has: 'many', label: 'a' },
      },
    },
  });
});

test('[J63] rules name namespaces and fields of the schema', () => {
  const rules = {
    people: { allow: { view: 'true', link: { orders: 'true' } }, fields: { age: 'isOwner' } },
    orders: { bind: { isOwner: 'auth.id == data.id' }, allow: { $default: 'false', update: null } },
    $default: { allow: { $default: 'false' } },
    attrs: { allow: { create: 'false' } },
    $rateLimits: { calls: { limits: [{ capacity: 3, refill: { period: '1 hour' } }] } },
  };
  rules satisfies InstantRules<S>;
  rules satisfies InstantRules<Shop>;
  rules satisfies InstantRules;
  // @ts-expect-error: no such namespace
  ({ customers: { allow: {} } }) satisfies InstantRules<S>;
  // @ts-expect-error: no such field
  ({ people: { fields: { nmae: 'true' } } }) satisfies InstantRules<S>;
  // @ts-expect-error: nothing that is allowed
  ({ people: { allow: { see: 'true' } } }) satisfies InstantRules;
});
