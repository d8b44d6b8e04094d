/**
 * The query cases on the client's evaluator, over the whole seed: answers are those of the server.
 *
 * Left out: what only the server does (rules, totals, pages, refusals, `flat`, transactions), and
 * cases that end in an error.
 */
import { describe, expect, test } from 'vitest';
import { Evaluation } from '../../src/query/evaluate.ts';
import { Catalog } from '../../src/schema/catalog.ts';
import { Bag } from '../../src/store/bag.ts';
import { Intern } from '../../src/store/intern.ts';
import { type Case, type Command, loadSeed, readCases, resolve } from '../support/case-files.ts';
import { allLists, NO_PAGES } from '../support/pages.ts';
import { render } from '../support/render.ts';

const SERVERS_WORDS = ['as=guest', 'flat', 'infer', 'transact', 'rules'];

function isOurs({ words, source, expected }: Command): boolean {
  return (
    !words.some((word) => SERVERS_WORDS.includes(word)) &&
    !expected.startsWith('error') &&
    !expected.includes('page ') &&
    !/"aggregate"|"#|"</.test(source)
  );
}

/** Later commands of a case see what its transactions did, which only the server knows. */
function oursOf({ commands }: Case): Command[] {
  const first = commands.findIndex(({ words }) => ['transact', 'rules'].includes(words[0]!));
  return commands.slice(0, first < 0 ? undefined : first).filter(isOurs);
}

/** Clients cut nested forms, which the server sends whole. */
const isCutHere = ({ header }: Case) =>
  header.some((line) => line.includes('skip (clients apply it)'));

const cases = readCases('query').filter((one) => !isCutHere(one) && oursOf(one).length > 0);

test('there are commands to run', () => {
  expect(cases.flatMap(oursOf).length).toBeGreaterThanOrEqual(90);
});

describe.each(cases)('$file $title', (one) => {
  const seed = loadSeed(one.seed);
  const catalog = Catalog.of(seed.attrs);
  const bag = new Bag(catalog, new Intern());
  bag.replace(seed.triples);

  test.each(oursOf(one))('[J7] $source', ({ words, source, expected }) => {
    const query = resolve(JSON.parse(source)) as Record<string, unknown>;
    const rows = new Evaluation(query, catalog, allLists).run(bag, NO_PAGES);
    expect(render(rows, query, words.includes('full'))).toBe(expected);
  });
});
