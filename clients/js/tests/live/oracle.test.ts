/**
 * Random data and queries, on a real server and on the evaluator: both find the same rows. And what
 * a pending write shows is what the server answers once it took it.
 *
 * A long run: `TRICE_ROUNDS=1000 npx vitest run tests/live`, with 100 queries a round.
 */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { compile } from '../../src/pending/compile.ts';
import { replay } from '../../src/pending/replay.ts';
import { type Operation, operationsOf, tx } from '../../src/pending/builder.ts';
import type { Step } from '../../src/pending/steps.ts';
import { Evaluation } from '../../src/query/evaluate.ts';
import { Catalog } from '../../src/schema/catalog.ts';
import { Bag } from '../../src/store/bag.ts';
import { Intern } from '../../src/store/intern.ts';
import { Overlay } from '../../src/store/overlay.ts';
import type { View } from '../../src/store/view.ts';
import { inventorOf } from '../support/inventor.ts';
import { LiveApp, LiveServer } from '../support/live-server.ts';
import { allLists, NO_PAGES } from '../support/pages.ts';
import { Random, seeds } from '../support/random.ts';
import { randomQuery, randomWrite, SHELF_ATTRS, SHELF_TRIPLES } from '../support/shelf.ts';

/** Before anything is compared: of an empty world queries say nothing. */
const WRITES_FIRST = 25;
const WRITES = 10;
const QUERIES = 10;
/** Everything there is. */
const WHOLE = { books: { author: {}, editor: {}, tags: {} }, people: {}, tags: {} };

/** How much was compared: agreement on nothing says nothing. */
const counts = { queries: 0, withRows: 0, writes: 0, applied: 0, bare: 0, filtered: 0 };

let server: LiveServer;

/** The evaluator before the code that picks rows is there. */
let Bare: typeof Evaluation;

beforeAll(async () => {
  server = await LiveServer.start();
  vi.resetModules();
  Bare = (await import('../../src/query/evaluate.ts')).Evaluation;
});

afterAll(() => server.stop());

test.each(seeds(3))(
  '[J7, J8, J362] the evaluator finds what a server finds (seed %i)',
  async (seed) => {
    const random = new Random(seed);
    const app = await LiveApp.make(server);
    await app.transact(SHELF_ATTRS.map((attr): Step => ['add-attr', attr]));
    // One at a time, so that each entity has a time of its own.
    for (const steps of byEntity()) expect(await app.transact(steps)).toBe(true);
    const catalog = Catalog.of(SHELF_ATTRS);
    let bag = await known(app, catalog);
    for (let round = 0; round < WRITES_FIRST; round++) {
      const write = writeOf(random, bag);
      await app.transact(compile(write, catalog, inventorOf(random), []).steps);
      bag = await known(app, catalog);
    }
    for (let round = 0; round < WRITES; round++) {
      const write = writeOf(random, bag);
      if (write.length === 0) continue;
      const { steps } = compile(write, catalog, inventorOf(random), []);
      const queries = Array.from({ length: QUERIES }, () => randomQuery(random));
      const shown = queries.map((query) => rows(query, catalog, overlaid(bag, steps, catalog)));
      const isApplied = await app.transact(steps);
      counts.writes += 1;
      counts.applied += isApplied ? 1 : 0;
      bag = await known(app, catalog);
      for (const [place, query] of queries.entries()) {
        const told = await app.query(query);
        counts.queries += 1;
        counts.withRows += JSON.stringify(told).includes('"id"') ? 1 : 0;
        const text = `${JSON.stringify(query)} after ${JSON.stringify(write)}`;
        expect(rows(query, catalog, bag), text).toEqual(told);
        if (isApplied) expect(shown[place], `before the answer: ${text}`).toEqual(told);
        // Of its answer alone, without that code, it shows the same, or loads until it is here.
        const bare = new Bare(query, catalog, allLists);
        if (bare.isUnsure) continue;
        counts.bare += 1;
        counts.filtered += bare.isUnread ? 1 : 0;
        const answer = new Bag(catalog, new Intern());
        answer.replace(await app.triples(query));
        expect(bare.run(answer, NO_PAGES), `without code: ${text}`).toEqual(told);
      }
    }
    app.close();
  },
);

test('[J7, J8] queries found rows, and writes were taken', () => {
  expect(counts.withRows / counts.queries, JSON.stringify(counts)).toBeGreaterThan(0.5);
  expect(counts.applied / counts.writes, JSON.stringify(counts)).toBeGreaterThan(0.5);
});

test('[J362] many queries with conditions were answered without the code that reads them', () => {
  expect(counts.bare / counts.queries, JSON.stringify(counts)).toBeGreaterThan(0.25);
  expect(counts.filtered / counts.queries, JSON.stringify(counts)).toBeGreaterThan(0.1);
});

/**
 * A random write. A client is not told of links to what does not exist (T43), so none are made,
 * neither to what was never there nor to what the same write deletes before.
 */
function writeOf(random: Random, bag: Bag): Operation[] {
  const deleted = new Set<string>();
  const isThere = (etype: string, id: string) =>
    bag.record(etype, id) !== undefined && !deleted.has(`${etype} ${id}`);
  return operationsOf(randomWrite(random, tx)).filter(([action, etype, id, args]) => {
    if (action === 'delete') deleted.add(`${etype} ${id}`);
    if (action !== 'link') return true;
    const [label, other] = Object.entries(args)[0]!;
    const link = Catalog.of(SHELF_ATTRS).find(etype, label)!;
    const far = link.isForward ? link.attr.reverse!.etype : link.attr.etype;
    return isThere(etype, id) && isThere(far, String(other));
  });
}

/** The steps that write the shelf, an entity at a time, links last. */
function byEntity(): Step[][] {
  const isLink = (id: string) => SHELF_ATTRS.find((one) => one.id === id)!['value-type'] === 'ref';
  const entities = new Map<string, Step[]>();
  const links: Step[] = [];
  for (const [entity, attr, value] of SHELF_TRIPLES) {
    const step: Step = ['add-triple', entity, attr, value];
    if (isLink(attr)) links.push(step);
    else entities.set(entity, [...(entities.get(entity) ?? []), step]);
  }
  return [...entities.values(), links];
}

async function known(app: LiveApp, catalog: Catalog): Promise<Bag> {
  const bag = new Bag(catalog, new Intern());
  bag.replace(await app.triples(WHOLE));
  return bag;
}

function overlaid(bag: Bag, steps: readonly Step[], catalog: Catalog): View {
  const overlay = new Overlay(bag, bag, catalog);
  const createdAt = Math.max(0, ...[...bag.records.all()].map((record) => record.createdAt)) + 1;
  replay(steps, catalog, overlay, { createdAt, id: (_, value) => String(value) });
  return overlay;
}

function rows(query: Record<string, unknown>, catalog: Catalog, view: View): unknown {
  return new Evaluation(query, catalog, allLists).run(view, NO_PAGES);
}
