import { expectTypeOf, test } from 'vitest';
import type { AdminDatabase, AdminResult } from '../../src/admin/index.ts';
import { i, id, init } from '../../src/admin/index.ts';
import { type Shop, shop } from './shop.ts';

type S = typeof shop;
declare const db: AdminDatabase<S>;
declare const generated: AdminDatabase<Shop>;
declare const open: AdminDatabase;

test('[J223] admin: rows have the fields of the schema, a link to one a row or null', async () => {
  const { orders } = await db.query({ orders: { buyer: { friends: {} } } });
  expectTypeOf(orders[0]!.state).toEqualTypeOf<'open' | 'paid'>();
  expectTypeOf(orders[0]!.paidAt).toEqualTypeOf<string | number | undefined>();
  expectTypeOf(orders[0]!.buyer!.friends[0]!.handle).toEqualTypeOf<string>();
  expectTypeOf<null>().toExtend<(typeof orders)[0]['buyer']>();
  // @ts-expect-error: there may be none
  orders[0]!.buyer.name;
  // @ts-expect-error: the query does not follow it
  orders[0]!.buyer!.orders;
  const { people } = await generated.asUser({ guest: true }).query({ people: {} });
  expectTypeOf(people[0]!.age).toEqualTypeOf<number | undefined>();
});

test('[J223] admin: names that the schema lacks are refused', () => {
  const asked = () => [
    // @ts-expect-error: no such namespace
    db.query({ order: {} }),
    // @ts-expect-error: no such field
    db.query({ orders: { $: { where: { colour: 'red' } } } }),
    // @ts-expect-error: nor behind a user
    db.asUser({ email: 'a@b.c' }).debugQuery({ orders: { byer: {} } }),
    // @ts-expect-error: nor live
    generated.subscribeQuery({ order: {} }),
  ];
  expectTypeOf(asked).toBeFunction();
});

test('[J223] admin: live queries and tried ones have the same types', () => {
  const query = { people: { orders: {} } } as const;
  type Found = AdminResult<S, typeof query>;
  db.subscribeQuery(query, (payload) => {
    if (payload.type === 'ok') expectTypeOf(payload.data).toEqualTypeOf<Found>();
  });
  expectTypeOf(db.debugQuery(query)).resolves.toHaveProperty('result').toEqualTypeOf<Found>();
});

test('[J223] admin: writes have the types of the schema', () => {
  const values = { state: 'open', placedAt: new Date(), isGift: false, total: 1 } as const;
  const order = { ...values, address: { street: 'Main' } };
  expectTypeOf(db.transact).toBeCallableWith([
    db.tx.orders[id()]!.create(order).link({ buyer: id() }),
    db.tx.people.lookup('handle', 'ann').update({ age: null }),
  ]);
  // @ts-expect-error: fields are missing
  db.tx.orders[id()]!.create({ state: 'open' });
  // @ts-expect-error: not unique
  db.tx.people.lookup('name', 'Ann');
  // @ts-expect-error: no such namespace
  db.tx.order;
  generated.tx.orders[id()]!.update(order);
});

test('[J223] admin: rooms have the types of the schema', async () => {
  const members = await db.rooms.getPresence('counter', 'r');
  expectTypeOf(members.x!.data.name).toEqualTypeOf<string>();
  await db.rooms.setPresence('counter', 'r', { peerId: 'bot', data: { name: 'Bot' } });
  await db.rooms.publishTopic('counter', 'r', { topic: 'bell', data: { times: 2 } });
  // @ts-expect-error: no such field
  await db.rooms.setPresence('counter', 'r', { peerId: 'bot', data: { nome: 'Bot' } });
  // @ts-expect-error: no such topic
  await db.rooms.publishTopic('counter', 'r', { topic: 'horn' });
});

test('[J223] admin: `init` takes a schema or none', async () => {
  const schema = i.schema({ entities: { todos: i.entity({ title: i.string() }) } });
  const typed = await init({ appId: 'x', schema }).query({ todos: {} });
  expectTypeOf(typed.todos[0]!.title).toEqualTypeOf<string>();
  const untyped = await init({ appId: 'x' }).query({ anything: {} });
  expectTypeOf(untyped.anything[0]!.at).toBeAny();
  open.tx.anything![id()]!.update({ a: 1 });
  await open.rooms.publishTopic('any', 'r', { topic: 'any', data: { a: 1 } });
});
