/**
 * The transaction cases as pending writes: what is shown before the server answers is what it
 * answers, for all transactions that it accepts.
 */
import { expect, test } from 'vitest';
import { type Action, type Operation } from '../../src/pending/builder.ts';
import { compile } from '../../src/pending/compile.ts';
import { replay } from '../../src/pending/replay.ts';
import { Evaluation } from '../../src/query/evaluate.ts';
import { Catalog } from '../../src/schema/catalog.ts';
import { Bag } from '../../src/store/bag.ts';
import { Intern } from '../../src/store/intern.ts';
import { Overlay } from '../../src/store/overlay.ts';
import type { View } from '../../src/store/view.ts';
import { type Case, loadSeed, readCases, resolve } from '../support/case-files.ts';
import { inventorOf } from '../support/inventor.ts';
import { allLists, NO_PAGES } from '../support/pages.ts';
import { Random } from '../support/random.ts';
import { render } from '../support/render.ts';

const SERVERS_WORDS = ['as=guest', 'flat', 'infer', 'attrs', 'rules', 'low', 'high', 'strict'];

/** Cases in the form of named operations, without cursors and ids of attrs. */
function isOurs({ commands, header }: Case): boolean {
  return (
    !header.some((line) => line.startsWith('# client: skip')) &&
    commands.some(({ words }) => words[0] === 'query') &&
    commands.every(
      ({ words, source }) =>
        !words.some((word) => SERVERS_WORDS.includes(word)) &&
        !/-triple"|-entity"|-attr"|"#|"<|aggregate|"\$users|"\$files/.test(source),
    )
  );
}

const cases = readCases('transact').filter(isOurs);

test('there are cases to run', () => {
  expect(cases.length).toBeGreaterThanOrEqual(30);
});

test.each(cases)('[J8] $file $title', ({ seed, commands }) => {
  const { attrs, triples } = loadSeed(seed);
  const random = new Random(1);
  const stage = new Stage(attrs, triples, random);
  for (const { words, source, expected } of commands) {
    const input = resolve(JSON.parse(source));
    if (words[0] === 'transact') {
      if (expected.startsWith('ok') && expected !== 'ok again')
        stage.transact(input as AdminStep[]);
    } else if (!expected.startsWith('error')) {
      const query = input as Record<string, unknown>;
      expect(stage.query(query, words.includes('full')), source).toBe(expected);
    }
  }
});

type AdminStep = [Action, string, unknown, Record<string, unknown>, { upsert?: boolean }?];

class Stage {
  #catalog: Catalog;
  #view: View;
  readonly #random: Random;
  #time = 100_000;

  constructor(
    attrs: Parameters<typeof Catalog.of>[0],
    triples: Parameters<Bag['replace']>[0],
    random: Random,
  ) {
    this.#catalog = Catalog.of(attrs);
    const bag = new Bag(this.#catalog, new Intern());
    bag.replace(triples);
    this.#view = bag;
    this.#random = random;
  }

  transact(steps: readonly AdminStep[]): void {
    const operations = steps.map(operationOf);
    const compiled = compile(operations, this.#catalog, inventorOf(this.#random), []);
    this.#catalog = compiled.catalog;
    const overlay = new Overlay(this.#view, this.#view, this.#catalog);
    const ids = new Map<string, string>();
    replay(compiled.steps, this.#catalog, overlay, {
      createdAt: ++this.#time,
      id: (attr, value) => {
        const name = `${attr} ${JSON.stringify(value)}`;
        if (!ids.has(name)) ids.set(name, this.#random.uuid());
        return ids.get(name)!;
      },
    });
    this.#view = overlay;
  }

  query(query: Record<string, unknown>, isFull: boolean): string {
    return render(
      new Evaluation(query, this.#catalog, allLists).run(this.#view, NO_PAGES),
      query,
      isFull,
    );
  }
}

/** The admin form of an entity: an id, a lookup as text, as a pair, or as an object. */
function operationOf([action, etype, entity, args, opts]: AdminStep): Operation {
  const op: Operation = [action, etype, lookupText(entity), args ?? {}];
  return opts ? [action, etype, lookupText(entity), args ?? {}, opts] : op;
}

function lookupText(entity: unknown): string {
  if (typeof entity === 'string') return entity;
  const [attr, value] = Array.isArray(entity) ? entity : Object.entries(entity as object)[0]!;
  return `lookup__${String(attr)}__${JSON.stringify(value)}`;
}
