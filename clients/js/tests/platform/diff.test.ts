import { expect, test } from 'vitest';
import type { ApiAttr } from '../../src/platform/api-schema.ts';
import { diff } from '../../src/platform/diff.ts';
import type { FieldShape, LinkShape, SchemaShape } from '../../src/schema/shape.ts';

function attr(etype: string, label: string, more: Partial<ApiAttr> = {}): ApiAttr {
  return {
    id: `${etype}.${label}`,
    'forward-identity': [`i-${etype}.${label}`, etype, label],
    'value-type': more['reverse-identity'] ? 'ref' : 'blob',
    cardinality: 'one',
    'unique?': false,
    'index?': false,
    catalog: etype.startsWith('$') ? 'system' : 'user',
    ...more,
  };
}

const field = (valueType: string, more: Partial<FieldShape> = {}): FieldShape => ({
  valueType,
  required: false,
  config: { indexed: false, unique: false },
  ...more,
});

const CURRENT = [
  attr('$users', 'id', { 'unique?': true }),
  attr('$users', 'email', { 'unique?': true, 'index?': true }),
  attr('todos', 'id', { 'unique?': true }),
  attr('todos', 'title', { 'checked-data-type': 'string' }),
  attr('todos', 'owner', { 'reverse-identity': ['r', '$users', 'todos'], 'on-delete': 'cascade' }),
  attr('old', 'id', { 'unique?': true }),
  attr('old', 'text'),
];

const OWNER: LinkShape = {
  forward: { on: 'todos', label: 'owner', has: 'one', onDelete: 'cascade' },
  reverse: { on: '$users', label: 'todos', has: 'many' },
};

const schemaOf = (
  entities: Record<string, Record<string, FieldShape>>,
  links: Record<string, LinkShape> = { owner: OWNER },
): SchemaShape => ({
  entities: Object.fromEntries(Object.entries(entities).map(([name, attrs]) => [name, { attrs }])),
  links,
});

function steps(schema: SchemaShape, renames: string[] = []) {
  let made = 0;
  return diff(CURRENT, schema, renames, () => `new-${(made += 1)}`);
}

const SAME = { todos: { title: field('string') }, old: { text: field('json') } };

test('[J126] nothing is changed for the same schema, nor for the system’s attrs', () => {
  expect(steps(schemaOf(SAME))).toEqual([]);
  expect(steps(schemaOf({ ...SAME, $users: { email: field('number') } }))).toEqual([]);
});

test('[J126] what a schema has not is deleted, in fields, links and namespaces', () => {
  expect(steps(schemaOf({ todos: {} }, {}))).toEqual([
    ['delete-attr', 'old.id'],
    ['delete-attr', 'old.text'],
    ['delete-attr', 'todos.title'],
    ['delete-attr', 'todos.owner'],
  ]);
});

test('[J126] a rename keeps the attr; what it names must be gone, and alike', () => {
  const text = schemaOf({ ...SAME, todos: { text: field('string') } });
  expect(steps(text, [' todos.title : todos.text '])).toEqual([
    [
      'update-attr',
      {
        id: 'todos.title',
        'forward-identity': ['todos.title', 'todos', 'text'],
        cardinality: 'one',
      },
    ],
  ]);
  const types = (renames: string[], schema = text) => steps(schema, renames).map(([type]) => type);
  expect(types([])).toEqual(['delete-attr', 'add-attr']);
  expect(types(['old.text:todos.text'])).toEqual(['delete-attr', 'add-attr']);
  expect(types(['todos.nothing:todos.text'])).toEqual(['delete-attr', 'add-attr']);
  const keeper = {
    ...{ forward: { ...OWNER.forward, label: 'keeper' } },
    ...{ reverse: { ...OWNER.reverse, label: 'kept' } },
  };
  for (const rename of ['todos.owner:todos.keeper', '$users.todos:$users.kept'])
    expect(steps(schemaOf(SAME, { keeper }), [rename])).toEqual([
      [
        'update-attr',
        {
          id: 'todos.owner',
          'forward-identity': ['todos.owner', 'todos', 'keeper'],
          'reverse-identity': ['todos.owner', '$users', 'kept'],
          cardinality: 'one',
          'on-delete': 'cascade',
        },
      ],
    ]);
});

test('[J126] a schema or a rename that makes no sense is refused', () => {
  const many = { ...OWNER, forward: { ...OWNER.forward, has: 'many' as const } };
  const lost = { ...OWNER, forward: { ...OWNER.forward, on: 'nowhere' } };
  for (const schema of [
    schemaOf({ ...SAME, $mine: {} }),
    schemaOf({ ...SAME, $users: { nick: field('string', { required: true }) } }),
    schemaOf(SAME, { many }),
    schemaOf(SAME, { lost }),
  ])
    expect(() => steps(schema)).toThrow(expect.objectContaining({ code: 'schema-malformed' }));
  for (const rename of ['title', 'todos.title', 'a.b:c', 'a.b:c.d:e.f', '.b:a.c', 'a.b.c:a.d'])
    expect(() => steps(schemaOf(SAME), [rename])).toThrow(
      expect.objectContaining({ code: 'rename-malformed' }),
    );
});
