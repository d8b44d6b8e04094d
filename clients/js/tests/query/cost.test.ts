/** What a change costs: counted, as times differ from machine to machine. */
import { expect, test } from 'vitest';
import { Evaluation } from '../../src/query/evaluate.ts';
import { Catalog } from '../../src/schema/catalog.ts';
import type { WireAttr } from '../../src/schema/attr.ts';
import { Bag, type Triple } from '../../src/store/bag.ts';
import { Intern } from '../../src/store/intern.ts';
import type { View } from '../../src/store/view.ts';
import { byCardinality, NO_PAGES } from '../support/pages.ts';

const ROWS = 1_000;

const field = (label: string, checked: 'string' | 'number'): WireAttr => ({
  id: `todos-${label}`,
  'forward-identity': [`names-${label}`, 'todos', label],
  'value-type': 'blob',
  cardinality: 'one',
  'unique?': label === 'id',
  'index?': label === 'priority',
  'checked-data-type': checked,
});

const catalog = Catalog.of([
  field('id', 'string'),
  field('title', 'string'),
  field('priority', 'number'),
]);

const nameOf = (place: number) => `todo-${String(place).padStart(4, '0')}`;

const triples: Triple[] = Array.from({ length: ROWS }, (_, place) => nameOf(place)).flatMap(
  (id, place): Triple[] => [
    [id, 'todos-id', id, place],
    [id, 'todos-title', `title ${place}`, place],
    [id, 'todos-priority', place, place],
  ],
);

/** A view that counts what is asked of it. */
function counted(view: View) {
  const calls = { ids: 0, record: 0 };
  const through: View = {
    ids: (etype) => (calls.ids++, view.ids(etype)),
    record: (etype, id) => (calls.record++, view.record(etype, id)),
    targets: (attr, source) => view.targets(attr, source),
    sources: (attr, target) => view.sources(attr, target),
  };
  return { calls, through };
}

const FORMS: [name: string, form: object][] = [
  ['in the order of creation', {}],
  ['in the order of the field that changes', { $: { order: { priority: 'desc' } } }],
  ['under a condition on it', { $: { where: { priority: { $gte: 0 } } } }],
];

test.each(FORMS)('[J150] of rows %s, the one that changed is looked at alone', (_, form) => {
  const bag = new Bag(catalog, new Intern());
  bag.replace(triples);
  const evaluation = new Evaluation({ todos: form }, catalog, byCardinality);
  const before = evaluation.run(bag, NO_PAGES).todos!;
  const { calls, through } = counted(bag);

  const changed = nameOf(400);
  const changes = bag.apply({ changed: [[changed, 'todos-priority', 700.5, 400]] });
  const after = evaluation.refresh(through, changes, NO_PAGES).todos!;

  expect(calls.ids).toBe(0);
  expect(calls.record).toBeLessThan(5);
  expect(after.find(({ id }) => id === changed)).toMatchObject({ priority: 700.5 });
  expect(after.filter((row) => !before.includes(row))).toHaveLength(1);
  const fresh = new Evaluation({ todos: form }, catalog, byCardinality).run(bag, NO_PAGES);
  expect(after).toEqual(fresh.todos);
});

test('[J151] queries that show the same fields of a record share its row', () => {
  const intern = new Intern();
  const [one, other] = [{}, { $: { where: { priority: { $gte: 0 } } } }].map((form) => {
    const bag = new Bag(catalog, intern);
    bag.replace(structuredClone(triples));
    return new Evaluation({ todos: form }, catalog, byCardinality).run(bag, NO_PAGES).todos!;
  });
  expect(one).toHaveLength(ROWS);
  expect(one!.every((row, place) => row === other![place])).toBe(true);
});
