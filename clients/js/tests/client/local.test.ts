import { expect, test } from 'vitest';
import { covers } from '../../src/query/cover.ts';
import { Evaluation, type Row } from '../../src/query/evaluate.ts';
import type { Form, QueryJson } from '../../src/query/form.ts';
import { parse } from '../../src/query/parse.ts';
import { Catalog } from '../../src/schema/catalog.ts';
import { Bag, type Triple } from '../../src/store/bag.ts';
import { Intern } from '../../src/store/intern.ts';
import type { Database } from '../../src/client/database.ts';
import { allLists, NO_PAGES } from '../support/pages.ts';
import { Random, seeds } from '../support/random.ts';
import { randomQuery, SHELF_ATTRS, World } from '../support/shelf.ts';
import { entity, Stage } from '../support/stage.ts';

const HELD = { books: { $: { where: { out: true } }, author: {} } };

async function holding(held: object): Promise<{ stage: Stage; db: Database }> {
  const stage = new Stage();
  const db = stage.device();
  await stage.settle();
  for (const [number, out] of [true, true, false].entries())
    void db.transact(db.tx.books![entity(number)]!.create({ title: `b${number}`, out }));
  db.subscribeQuery(held, () => {});
  await stage.settle();
  return { stage, db };
}

/** What a query shows at once, before the server can answer. */
function shownAtOnce(db: Database, query: object) {
  const observer = db.observe(query);
  observer.subscribe(() => {});
  return observer.get();
}

test.each([
  { books: { $: { where: { out: true } } } },
  { books: { $: { where: { out: true }, fields: ['title'] } } },
  { books: { $: { where: { out: true, title: 'b1' } }, author: {} } },
  { books: { $: { where: { out: true, or: [{ title: 'b1' }, { title: 'b2' }] } } } },
  { books: { $: { where: { id: entity(1) } } } },
])('[J140] what is contained in another answer is shown at once: %j', async (query) => {
  const { stage, db } = await holding(HELD);
  const state = shownAtOnce(db, query);
  expect(state).toMatchObject({ isLoading: false, source: 'partial', isComplete: true });
  const rows = state.data!.books!;
  expect(rows.map(({ id }) => id)).toContain(entity(1));
  await stage.settle();
  const later = shownAtOnce(db, query);
  expect(later).toMatchObject({ source: 'server', isComplete: true });
  expect(later.data).toEqual(stage.server.rows(query));
  expect(later.data).toBe(state.data);
});

test.each([
  { books: {} },
  { books: { $: { where: { out: false } } } },
  { books: { $: { where: { out: true } }, tags: {} } },
  { books: { $: { where: { out: true, 'author.name': 'x' } } } },
  { books: { $: { where: { out: true }, limit: 1 } } },
  { books: { $: { where: { id: entity(50) } } } },
  { books: { $: { where: { out: true }, aggregate: { count: true } } } },
])('[J140] what may be missing is loading: %j', async (query) => {
  const { db } = await holding(HELD);
  expect(shownAtOnce(db, query)).toMatchObject({ isLoading: true, data: undefined });
});

test('[J140] an answer from another moves with it, and with pending writes', async () => {
  const { stage, db } = await holding(HELD);
  stage.network.isUp = false;
  stage.network.cutAll();
  const query = { books: { $: { where: { out: true, title: 'b0' } } } };
  const ids = () => shownAtOnce(db, query).data!.books!.map(({ id }) => id);
  expect(ids()).toEqual([entity(0)]);
  void db.transact(db.tx.books![entity(1)]!.update({ title: 'b0' }));
  void db.transact(db.tx.books![entity(0)]!.delete());
  expect(ids()).toEqual([entity(1)]);
});

test('[J141] without a session for 2 s a query shows what is known, and says so', async () => {
  const { stage, db } = await holding(HELD);
  stage.network.isUp = false;
  stage.network.cutAll();
  const observer = db.observe({ books: { $: { order: { title: 'desc' } } } });
  observer.subscribe(() => {});
  await stage.clock.pass(1_000);
  expect(observer.get().isLoading).toBe(true);
  await stage.clock.pass(1_500);
  expect(observer.get()).toMatchObject({ source: 'partial', isComplete: false });
  const titles = observer.get().data!.books!.map(({ title }) => title);
  expect(titles).toEqual(expect.arrayContaining(['b0', 'b1']));
  const told: boolean[] = [];
  observer.subscribe(() => told.push(observer.get().isLoading));
  stage.network.isUp = true;
  await stage.clock.pass(60_000);
  expect(told).not.toContain(true);
  expect(observer.get()).toMatchObject({ source: 'server', isComplete: true });
});

test('[J141] a page whose place only the server knows is loading offline', async () => {
  const { stage, db } = await holding(HELD);
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(5_000);
  const cursor = [entity(0), 'attr', 'b0', 1];
  const query = { books: { $: { order: { title: 'asc' }, limit: 2, after: cursor } } };
  expect(shownAtOnce(db, query).isLoading).toBe(true);
  expect(shownAtOnce(db, { books: { $: { limit: 2 } } }).isLoading).toBe(false);
});

test('[J141] `partial` shows what is known at once', async () => {
  const stage = new Stage();
  const db = stage.device({ partial: true });
  await stage.settle();
  db.subscribeQuery(HELD, () => {});
  await stage.settle();
  expect(shownAtOnce(db, { books: {} })).toMatchObject({
    isLoading: false,
    source: 'partial',
    isComplete: false,
  });
});

test.each(seeds(20))('[J140] what is proven is what the server answers (seed %i)', (seed) => {
  const random = new Random(seed);
  const world = new World(random);
  for (let step = 0; step < 20; step++) world.step();
  const catalog = Catalog.of(SHELF_ATTRS);
  const all = bagOf(world.triples, catalog);
  let proven = 0;
  for (let round = 0; round < 400; round++) {
    const held = randomQuery(random);
    const asked = random.chance(0.5) ? less(held, random) : randomQuery(random);
    if (!covers(held, asked, catalog)) continue;
    proven += 1;
    const known = bagOf(answered(held, all, world.triples, catalog), catalog);
    const rows = (bag: Bag) => new Evaluation(asked, catalog, allLists).run(bag, NO_PAGES);
    expect(rows(known), JSON.stringify([held, asked])).toEqual(rows(all));
  }
  expect(proven).toBeGreaterThan(10);
});

function bagOf(triples: readonly Triple[], catalog: Catalog): Bag {
  const bag = new Bag(catalog, new Intern());
  bag.replace(triples);
  return bag;
}

/** A query that asks for less, or seems to. */
function less(query: Record<string, unknown>, random: Random): Record<string, unknown> {
  const copy = JSON.parse(JSON.stringify(query)) as Record<string, Record<string, unknown>>;
  for (const form of Object.values(copy)) {
    const children = Object.keys(form).filter((label) => label !== '$');
    if (children.length > 0 && random.chance(0.5)) delete form[random.pick(children)];
    const other = randomQuery(random);
    const where = (Object.values(other)[0] as { $?: { where?: object } }).$?.where;
    const options = (form.$ ??= {}) as Record<string, unknown>;
    if (where && random.chance(0.6)) options.where = { ...(options.where as object), ...where };
  }
  return copy;
}

/** The triples of an answer: those of its rows, and of the links by which they are nested. */
function answered(
  query: QueryJson,
  all: Bag,
  triples: readonly Triple[],
  catalog: Catalog,
): Triple[] {
  const found = new Set<Triple>();
  const take = (form: Form, rows: readonly Row[]) => {
    for (const { id, ...labels } of rows) {
      for (const triple of triples) {
        const attr = catalog.get(triple[1])!;
        if (triple[0] === id && attr.etype === form.etype && !attr.isLink) found.add(triple);
      }
      for (const child of form.children) {
        const linked = (labels as Record<string, unknown>)[child.label] as readonly Row[];
        const { attr, isForward } = child.link!;
        for (const triple of triples) {
          const [near, far] = isForward ? [triple[0], triple[2]] : [triple[2], triple[0]];
          if (triple[1] === attr.id && near === id && linked.some((row) => row.id === far))
            found.add(triple);
        }
        take(child, linked);
      }
    }
  };
  const rows = new Evaluation(query, catalog, allLists).run(all, NO_PAGES);
  for (const form of parse(query, catalog, allLists).forms) take(form, rows[form.label]!);
  return [...found];
}
