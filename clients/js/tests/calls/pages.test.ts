/** Lists of functions, watched page by page. */
import { expect, test } from 'vitest';
import { pagesAfter } from '../../src/calls/pages.ts';
import type { PagedState } from '../../src/calls/refs.ts';
import type { Database } from '../../src/client/database.ts';
import { api, type Book } from '../simulation/functions.ts';
import { entity, Stage } from '../support/stage.ts';

const TWO = { of: 'b', page: { size: 2 } };

/** A device, and another that has written so many books. */
async function online(count = 5): Promise<{ stage: Stage; db: Database; other: Database }> {
  const stage = new Stage();
  const [db, other] = [stage.device(), stage.device()];
  await stage.settle();
  for (let number = 1; number <= count; number++) await put(stage, other, number * 10);
  return { stage, db, other };
}

async function put(
  stage: Stage,
  db: Database,
  number: number,
  title = `b${number}`,
): Promise<void> {
  void db.call(api.put, { id: entity(number), title });
  await stage.settle();
}

function watch(db: Database, args = TWO): PagedState<Book>[] {
  const seen: PagedState<Book>[] = [];
  db.subscribePagedCall(api.pages, args, (state) => seen.push(state));
  return seen;
}

const titles = ({ data }: PagedState<Book>) => data?.map(({ title }) => title).join(' ');

test('[J350] pages are loaded one by one, and shown as one list that is live', async () => {
  const { stage, db, other } = await online();
  const seen = watch(db);
  await stage.settle();
  expect([titles(seen.at(-1)!), seen.at(-1)!.canLoadNextPage]).toEqual(['b10 b20', true]);
  seen.at(-1)!.loadNextPage();
  expect([titles(seen.at(-1)!), seen.at(-1)!.canLoadNextPage]).toEqual(['b10 b20', false]);
  seen.at(-1)!.loadNextPage();
  await stage.settle();
  expect([titles(seen.at(-1)!), seen.at(-1)!.canLoadNextPage]).toEqual(['b10 b20 b30 b40', true]);
  expect(stage.ops('more-call')).toMatchObject([{ name: 'books.pages', args: TWO }]);

  const before = seen.at(-1)!;
  await put(stage, other, 15);
  const after = seen.at(-1)!;
  expect(titles(after)).toBe('b10 b15 b20 b30 b40');
  // Items that did not change, and `loadNextPage`, are the same objects.
  expect(after.data!.filter((item) => before.data!.includes(item))).toHaveLength(4);
  expect(after.loadNextPage).toBe(before.loadNextPage);
  expect(Object.isFrozen(after) && Object.isFrozen(after.data)).toBe(true);

  after.loadNextPage();
  await stage.settle();
  expect([titles(seen.at(-1)!), seen.at(-1)!.canLoadNextPage]).toEqual([
    'b10 b15 b20 b30 b40 b50',
    false,
  ]);
});

test('[J350] who watches the same list sees the same pages; a call of it is another', async () => {
  const { stage, db } = await online();
  const [first, second] = [watch(db), watch(db)];
  const calls: unknown[] = [];
  db.subscribeCall(api.shelf, {}, ({ data }) => calls.push(data));
  await stage.settle();
  first.at(-1)!.loadNextPage();
  await stage.settle();
  expect(second.at(-1)).toBe(first.at(-1));
  expect(stage.ops('add-call')).toHaveLength(2);
  expect(calls).toHaveLength(1);
});

test('[J352] after a lost connection all pages are asked for by where they end', async () => {
  const { stage, db, other } = await online(7);
  const seen = watch(db);
  await stage.settle();
  seen.at(-1)!.loadNextPage();
  await stage.settle();
  const shown = seen.length;
  stage.network.cutAll();
  // Asked for while nothing can be: it is loaded with the rest.
  seen.at(-1)!.loadNextPage();
  await stage.settle();
  const asked = stage.ops('add-call').at(-1)!;
  expect(asked).toMatchObject({ paged: true, pages: [entity(20), entity(40), null] });
  expect(titles(seen.at(-1)!)).toBe('b10 b20 b30 b40 b50 b60');
  // What was shown stayed.
  expect(seen.slice(shown).every((state) => state.data!.length >= 4)).toBe(true);
  await put(stage, other, 25);
  expect(titles(seen.at(-1)!)).toBe('b10 b20 b25 b30 b40 b50 b60');
});

test('[J353] a page that cannot be loaded says why, and the others stay', async () => {
  const { stage, db } = await online();
  const seen = watch(db);
  await stage.settle();
  stage.server.functions.answers.set('books.pages', { type: 'rate-limited', message: 'later' });
  seen.at(-1)!.loadNextPage();
  await stage.settle();
  expect(seen.at(-1)).toMatchObject({ error: { code: 'rate-limited' }, canLoadNextPage: true });
  expect(titles(seen.at(-1)!)).toBe('b10 b20');
  stage.server.functions.answers.clear();
  seen.at(-1)!.loadNextPage();
  await stage.settle();
  expect(seen.at(-1)!.error).toBeUndefined();
  expect(titles(seen.at(-1)!)).toBe('b10 b20 b30 b40');
});

test('[J353] a list that cannot be watched says why', async () => {
  const { stage, db } = await online();
  stage.server.functions.answers.set('books.pages', { type: 'bad-args', message: 'no' });
  const seen = watch(db);
  await stage.settle();
  expect(seen).toMatchObject([{ isLoading: false, error: { code: 'bad-args' }, data: undefined }]);
});

test('[J354] a prediction is shown in the list until its pages contain the call', async () => {
  const { stage, db } = await online();
  const seen = watch(db);
  await stage.settle();
  const book = { id: entity(5), title: 'b5' };
  void db.call(api.put, book, {
    optimistic: (_tx, given, live) => [live(api.pages, TWO).put(given, { at: 'start' })],
  });
  expect(titles(seen.at(-1)!)).toBe('b5 b10 b20');
  await stage.settle();
  expect(seen.slice(1).map(titles)).not.toContain('b10 b20');
  expect(titles(seen.at(-1)!)).toBe('b5 b10 b20');
  expect(db.pending.list()).toEqual([]);
});

test('[J350] a list that nobody watches ends, and another user sees nothing of it', async () => {
  const { stage, db } = await online();
  const seen: PagedState<Book>[] = [];
  const stop = db.subscribePagedCall(api.pages, TWO, (state) => seen.push(state));
  await stage.settle();
  stop();
  await stage.clock.pass(20_000);
  expect(stage.ops('remove-call')).toMatchObject([{ args: TWO, paged: true }]);
  expect(db.observePagedCall(api.pages, TWO).get()).toMatchObject({ isLoading: true });
});

test('[J355] pages change, are split, and begin anew as the server says', () => {
  const page = (at: number, until: string, ids: string, isNew = true) => ({
    at,
    until,
    ...(isNew ? { new: true } : {}),
    value: { items: [...ids].map((id) => ({ id })), next: until },
  });
  const ids = (pages: ReturnType<typeof pagesAfter>) =>
    pages.map(({ items, until }) => [items.map((item) => (item as Book).id).join(''), until]);
  const two = pagesAfter([], { op: 'add-call-ok', pages: [page(0, 'b', 'ab'), page(1, '', 'cd')] });
  const split = pagesAfter(two, {
    pages: [page(0, 'a2', 'a', false), page(1, 'b', 'xb')],
    count: 3,
  });
  expect(ids(split)).toEqual([
    ['a', 'a2'],
    ['xb', 'b'],
    ['cd', ''],
  ]);
  expect(ids(pagesAfter(split, { pages: [], count: 1 }))).toEqual([['a', 'a2']]);
  expect(ids(pagesAfter(split, { pages: [page(0, 'z', 'z')], count: 1, whole: true }))).toEqual([
    ['z', 'z'],
  ]);
  const failed = pagesAfter(two, {
    pages: [{ at: 1, until: '', error: { type: 'function-failed', message: 'no', hint: {} } }],
    count: 2,
  });
  expect([ids(failed), failed[1]!.error!.code]).toEqual([ids(two), 'function-failed']);
});
