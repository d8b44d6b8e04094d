import { i as original } from '@instantdb/core';
import { expect, test } from 'vitest';
import { i } from '../../src/index.ts';
import { Stage } from '../support/stage.ts';
import { shop } from '../types/shop.ts';

/** A schema with everything that there is, by either `i`. */
function everything({ schema, entity, string, number, boolean, date, json, any }: typeof i) {
  return schema({
    entities: {
      $users: entity({ email: string().unique().indexed().optional() }),
      people: entity({
        name: string(),
        handle: string().indexed().unique(),
        age: number().optional().indexed(),
        isOld: boolean().clientRequired(),
      }).asType<{ age: number }>(),
      notes: entity({ at: date().indexed().clientRequired(), body: json(), more: any().unique() }),
      alone: entity({}),
    },
    links: {
      author: {
        forward: { on: 'notes', has: 'one', label: 'author', required: true, onDelete: 'cascade' },
        reverse: { on: 'people', has: 'many', label: 'notes', onDelete: 'cascade' },
      },
      friends: {
        forward: { on: 'people', has: 'many', label: 'friends' },
        reverse: { on: 'people', has: 'many', label: 'friendOf' },
      },
      user: {
        forward: { on: 'people', has: 'one', label: '$user' },
        reverse: { on: '$users', has: 'one', label: 'person' },
      },
    },
    rooms: { desk: { presence: entity({ x: number() }), topics: { bell: entity({ n: any() }) } } },
  });
}

test('[J60] `i.schema` makes what that of the original makes', () => {
  const ours = everything(i);
  const theirs = everything(original as unknown as typeof i);
  expect(JSON.parse(JSON.stringify(ours))).toEqual(JSON.parse(JSON.stringify(theirs)));
  expect(Object.keys(ours)).toEqual(['entities', 'links', 'rooms']);
  expect(ours.entities.people.links).toEqual({
    friends: { entityName: 'people', cardinality: 'many' },
    $user: { entityName: '$users', cardinality: 'one' },
    notes: { entityName: 'notes', cardinality: 'many' },
    friendOf: { entityName: 'people', cardinality: 'many' },
  });
});

test('[J60] links and rooms may be left out', () => {
  const parts = { entities: { notes: i.entity({ body: i.string() }) } };
  expect(JSON.parse(JSON.stringify(i.schema(parts)))).toEqual({
    entities: {
      notes: {
        attrs: {
          body: {
            valueType: 'string',
            required: true,
            isIndexed: false,
            config: { indexed: false, unique: false },
            metadata: {},
          },
        },
        links: {},
      },
    },
    links: {},
    rooms: {},
  });
});

test('[J60] a client takes the value of `i.schema`, and makes attrs by it', async () => {
  const stage = new Stage();
  const db = stage.device({ schema: shop });
  await stage.settle();
  const [order, buyer] = [
    '10000000-0000-4000-8000-000000000001',
    '20000000-0000-4000-8000-000000000002',
  ];
  const { orders } = db.tx;
  void db.transact(orders![order!]!.update({ total: 3 }).link({ buyer }));
  await stage.settle();
  const [sent] = stage.ops('transact') as { 'tx-steps': [string, Record<string, unknown>][] }[];
  const made = sent!['tx-steps'].filter(([op]) => op === 'add-attr').map(([, attr]) => attr);
  expect(
    made.map((attr) => [attr['value-type'], attr.cardinality, attr['checked-data-type']]),
  ).toEqual([
    ['blob', 'one', undefined],
    ['blob', 'one', 'number'],
    ['ref', 'one', undefined],
  ]);
});
