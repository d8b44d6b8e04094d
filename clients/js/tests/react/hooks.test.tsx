// @vitest-environment happy-dom
import { act, cleanup, render, type RenderResult } from '@testing-library/react';
import { Component, type ReactNode, StrictMode, Suspense } from 'react';
import { afterEach, expect, test } from 'vitest';
import { ReactDatabase } from '../../src/react/database.ts';
import type { QueryState } from '../../src/store/answer.ts';
import { SHELF_SCHEMA } from '../support/shelf.ts';
import { environmentOf } from '../simulation/network.ts';
import { entity, Stage } from '../support/stage.ts';

const QUERY = { people: { $: { order: { name: 'asc' } } } };

afterEach(cleanup);

/** A stage whose clock is moved while React looks. */
class ReactStage extends Stage {
  reactDb(): ReactDatabase {
    const environment = environmentOf(
      this.clock,
      this.random,
      this.network,
      new Map(),
      async () => ({
        status: 200,
        text: async () =>
          JSON.stringify({ user: { id: entity(1), refresh_token: entity(2), email: 'a@b.c' } }),
      }),
    );
    return new ReactDatabase({ appId: 'app', schema: SHELF_SCHEMA }, environment);
  }

  override settle(): Promise<void> {
    return act(() => this.clock.pass(5_000)) as Promise<void>;
  }
}

function names({ data, isLoading }: QueryState): string {
  return isLoading ? 'loading' : data!.people!.map(({ name }) => name).join(' ');
}

test('[J40] a component shows what a query finds, and renders when that changes', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  let renders = 0;
  function People(): ReactNode {
    renders++;
    return <p>{names(db.useQuery(QUERY))}</p>;
  }
  const { container } = render(<People />);
  expect(container.textContent).toBe('loading');
  await stage.settle();
  const before = container.textContent;
  expect(before).not.toBe('loading');
  expect(renders).toBe(2);

  act(() => void db.transact(db.tx.people![entity(1)]!.create({ name: 'Zoe' })));
  expect(container.textContent).toContain('Zoe');
  const shown = renders;
  expect(shown).toBe(3);
  // The server confirms what is shown already; a change elsewhere is none here.
  await stage.settle();
  act(() => void db.transact(db.tx.tags![entity(2)]!.create({ name: 'x' })));
  await stage.settle();
  expect(renders - shown).toBeLessThanOrEqual(1);
});

test('[J40] under StrictMode, and when it comes back, a component asks once', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  function People(): ReactNode {
    return <p>{names(db.useQuery(QUERY))}</p>;
  }
  const view = render(
    <StrictMode>
      <People />
    </StrictMode>,
  );
  await stage.settle();
  view.unmount();
  await stage.settle();
  render(
    <StrictMode>
      <People />
      <People />
    </StrictMode>,
  );
  await stage.settle();
  expect(stage.ops('add-query')).toHaveLength(1);
});

test('[J40] all components of a render see the same', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  const torn: string[] = [];
  let seen: (string | undefined)[] = [];
  function People({ at }: { at: number }): ReactNode {
    const text = names(db.useQuery(QUERY));
    seen[at] = text;
    return <p>{text}</p>;
  }
  function All(): ReactNode {
    seen = [];
    return [0, 1, 2].map((at) => <People key={at} at={at} />);
  }
  const { container } = render(<All />);
  await stage.settle();
  for (let count = 0; count < 20; count++) {
    act(() => void db.transact(db.tx.people![entity(1)]!.update({ name: `n${count}` })));
    const texts = [...container.querySelectorAll('p')].map(({ textContent }) => textContent);
    if (new Set(texts).size > 1) torn.push(texts.join(' | '));
  }
  expect(torn).toEqual([]);
});

test('another query loads, or keeps showing the one before', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  const [id1, id2] = [entity(1), entity(2)];
  void db.transact([
    db.tx.people![id1]!.create({ name: 'Ann' }),
    db.tx.people![id2]!.create({ name: 'Bob' }),
  ]);
  await stage.settle();
  function Person({ id, keepPrevious }: { id: string; keepPrevious: boolean }): ReactNode {
    return (
      <p>{names(db.useQuery({ people: { $: { where: { id }, limit: 1 } } }, { keepPrevious }))}</p>
    );
  }
  const plain = render(<Person id={id1} keepPrevious={false} />);
  const keeping = render(<Person id={id1} keepPrevious={true} />);
  await stage.settle();
  plain.rerender(<Person id={id2} keepPrevious={false} />);
  keeping.rerender(<Person id={id2} keepPrevious={true} />);
  expect(plain.container.textContent).toBe('loading');
  expect(keeping.container.textContent).toBe('Ann');
  await stage.settle();
  expect(keeping.container.textContent).toBe('Bob');
});

test('`null` asks nothing', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  const { container } = render(<Probe read={() => names(db.useQuery(null))} />);
  await stage.settle();
  expect(container.textContent).toBe('loading');
  expect(stage.ops('add-query')).toEqual([]);
});

test('[J41] useSuspenseQuery suspends until there is data, and never again', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  const { container } = await rendered(
    <Suspense fallback="waiting">
      <Probe read={() => names(db.useSuspenseQuery(QUERY))} />
    </Suspense>,
  );
  expect(container.textContent).toBe('waiting');
  await stage.settle();
  expect(container.textContent).not.toBe('waiting');
  act(() => void db.transact(db.tx.people![entity(1)]!.create({ name: 'Zoe' })));
  expect(container.textContent).toContain('Zoe');
});

test('[J41] an error goes to the boundary only if there never was data', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  stage.server.refuse = { type: 'permission-denied', message: 'no' };
  const { container } = await rendered(
    <Boundary>
      <Suspense fallback="waiting">
        <Probe read={() => names(db.useSuspenseQuery(QUERY))} />
      </Suspense>
    </Boundary>,
  );
  await stage.settle();
  expect(container.textContent).toBe('failed: no');
});

test('[J42] who is signed in decides what is shown', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  const { container } = render(
    <>
      <db.SignedIn>
        <Probe read={() => `in ${String(db.useUser().email)}`} />
      </db.SignedIn>
      <db.SignedOut>out</db.SignedOut>
    </>,
  );
  expect(container.textContent).toBe('');
  await stage.settle();
  expect(container.textContent).toBe('out');
  await act(async () => void (await db.auth.signInAsGuest()));
  expect(container.textContent).toBe('in a@b.c');
  await act(async () => void (await db.auth.signOut()));
  expect(container.textContent).toBe('out');
});

test('[J42] status, pending writes and local ids are live', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  const read = () =>
    `${db.useConnectionStatus()} ${db
      .usePending()
      .map(({ state }) => state)
      .join()} ${typeof db.useLocalId('x')} ${db.useStorageStatus()}`;
  const { container } = render(<Probe read={read} />);
  await stage.settle();
  expect(container.textContent).toBe('authenticated  string memory');
  act(
    () => void db.transact(db.tx.people![entity(1)]!.create({ name: 'forbidden' })).catch(() => {}),
  );
  expect(container.textContent).toBe('authenticated sent string memory');
  await stage.settle();
  expect(container.textContent).toBe('authenticated rejected string memory');
});

/** What suspends must be rendered so. */
function rendered(node: ReactNode): Promise<RenderResult> {
  return act(async () => render(node)) as Promise<RenderResult>;
}

function Probe({ read }: { read: () => string }): ReactNode {
  return <p>{read()}</p>;
}

class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override render(): ReactNode {
    return this.state.error ? `failed: ${this.state.error.message}` : this.props.children;
  }
}

test('[J136] useInfiniteQuery shows the pages that are loaded', async () => {
  const stage = new ReactStage();
  stage.server.data = { ...stage.server.data, triples: [] };
  const db = stage.reactDb();
  await stage.settle();
  for (const [number, name] of [...'abcde'].entries())
    await act(async () => void db.transact(db.tx.people![entity(number)]!.create({ name })));
  await stage.settle();
  let renders = 0;
  let list: ReturnType<typeof db.useInfiniteQuery> | undefined;
  function People(): ReactNode {
    renders++;
    list = db.useInfiniteQuery({ people: { $: { order: { name: 'asc' }, limit: 2 } } });
    return <p>{(list.data?.people ?? []).map(({ name }) => name).join(' ')}</p>;
  }
  const view = render(
    <StrictMode>
      <People />
    </StrictMode>,
  );
  expect(list!.isLoading).toBe(true);
  await stage.settle();
  expect(view.container.textContent).toBe('a b');
  act(() => list!.loadNextPage());
  await stage.settle();
  expect(view.container.textContent).toBe('a b c d');
  act(() => list!.loadNextPage());
  await stage.settle();
  expect(view.container.textContent).toBe('a b c d e');
  expect(list!.canLoadNextPage).toBe(false);
  const before = renders;
  act(() => void db.transact(db.tx.tags![entity(9)]!.create({ name: 'x' })));
  await stage.settle();
  expect(renders).toBe(before);
  act(() => void db.transact(db.tx.people![entity(8)]!.create({ name: 'A0' })));
  expect(view.container.textContent).toBe('a A0 b c d e');
  view.unmount();
});

test('[J139] useTotals is live, and renders when a total changed', async () => {
  const stage = new ReactStage();
  stage.server.data = { ...stage.server.data, triples: [] };
  const db = stage.reactDb();
  let renders = 0;
  function Count(): ReactNode {
    renders++;
    const { data, isLoading } = db.useTotals({ people: { $: { aggregate: { count: true } } } });
    return <p>{isLoading ? 'loading' : JSON.stringify(data)}</p>;
  }
  const { container } = render(<Count />);
  expect(container.textContent).toBe('loading');
  await stage.settle();
  expect(container.textContent).toBe('{"people":{"count":0}}');
  act(() => void db.transact(db.tx.people![entity(1)]!.create({ name: 'Zoe' })));
  expect(container.textContent).toBe('{"people":{"count":1}}');
  await stage.settle();
  const shown = renders;
  act(() => void db.transact(db.tx.people![entity(1)]!.update({ name: 'Zoé' })));
  await stage.settle();
  expect(container.textContent).toBe('{"people":{"count":1}}');
  expect(renders - shown).toBeLessThanOrEqual(2);
});
