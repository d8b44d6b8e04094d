// @vitest-environment happy-dom
/** What hooks promise in every framework. */
import { describe, expect, test } from 'vitest';
import type { RoomHandle } from '../../src/client/rooms.ts';
import type { QueryState } from '../../src/store/answer.ts';
import { api } from '../simulation/functions.ts';
import { environmentOf } from '../simulation/network.ts';
import { react } from '../support/frameworks/react.tsx';
import { solid } from '../support/frameworks/solid.ts';
import { svelte } from '../support/frameworks/svelte.ts';
import { vue } from '../support/frameworks/vue.ts';
import { SHELF_SCHEMA } from '../support/shelf.ts';
import { entity, Stage } from '../support/stage.ts';

const titleOf = ({ title }: { title: string }) => title;

const QUERY = { people: { $: { order: { name: 'asc' } } } };

function names({ data, isLoading, error }: QueryState): string {
  if (error) return `failed: ${error.message}`;
  return isLoading ? 'loading' : data!.people!.map(({ name }) => name).join(' ');
}

/** How many subscriptions ended; the connection is tried with one that is empty. */
function ended(stage: Stage): number {
  return stage.ops('remove-query').filter(({ q }) => Object.keys(q as object).length > 0).length;
}

describe.each([react, vue, svelte, solid])('$name', (framework) => {
  const { input, state, value, act } = framework;
  const USER = { id: entity(1), refresh_token: entity(2), email: 'a@b.c' };

  /** A database on a stage with nobody in `people`. */
  function set() {
    const stage = new Stage();
    stage.server.data = { ...stage.server.data, triples: [] };
    const fetch = async () => ({ status: 200, text: async () => JSON.stringify({ user: USER }) });
    const { clock, random, network } = stage;
    const environment = environmentOf(clock, random, network, new Map(), fetch);
    const db = framework.database({ appId: 'app', schema: SHELF_SCHEMA }, environment);
    const pass = (ms = 5_000) => act(() => clock.pass(ms));
    const write = (chunk: unknown) => act(() => void db.transact(chunk).catch(() => {}));
    const name = (number: number, name: string) =>
      write(db.tx.people[entity(number)].update({ name }));
    return { stage, db, pass, write, name };
  }

  test('[J215] shows what a query finds, and renders once for each change of it', async () => {
    const { stage, db, pass, write, name } = set();
    const people = framework.mount(
      () => db.useQuery(QUERY),
      (given) => names(state(given)),
    );
    expect(people.text()).toBe('loading');
    await pass();
    expect(people.text()).toBe('');
    expect(people.renders()).toBe(2);
    await name(1, 'Ann');
    expect(people.text()).toBe('Ann');
    await pass();
    // The server confirms what is shown already; another namespace is not looked at.
    await write(db.tx.tags[entity(2)].create({ name: 'x' }));
    await pass();
    expect(people.renders()).toBe(3);
    await name(2, 'Bob');
    expect([people.text(), people.renders()]).toEqual(['Ann Bob', 4]);
    expect(stage.ops('add-query')).toHaveLength(1);
    people.unmount();
  });

  test('[J215] equal queries are asked once, and no more when nobody shows them', async () => {
    const { stage, db, pass, name } = set();
    const mount = () =>
      framework.mount(
        () => db.useQuery(QUERY),
        (given) => names(state(given)),
      );
    const [one, other] = [mount(), mount()];
    await pass();
    one.unmount();
    await name(1, 'Ann');
    expect([other.text(), one.renders()]).toEqual(['Ann', 2]);
    other.unmount();
    await pass();
    const third = mount();
    expect(third.text()).toBe('Ann');
    await pass(20_000);
    expect([stage.ops('add-query').length, ended(stage)]).toEqual([1, 0]);
    third.unmount();
    await pass(20_000);
    expect(ended(stage)).toBe(1);
    await name(1, 'Zoe');
    expect([one.renders(), other.renders(), third.renders()]).toEqual([2, 3, 1]);
  });

  test.each([
    [false, 'loading'],
    [true, 'Ann'],
  ])(
    '[J216] another query, keepPrevious %s: meanwhile it shows %s',
    async (keepPrevious, shown) => {
      const { stage, db, pass, name } = set();
      await name(1, 'Ann');
      await name(2, 'Bob');
      await pass();
      const query = (at: number) => ({
        people: { $: { where: { id: entity(at + 1) }, limit: 1 } },
      });
      const person = framework.mount(
        (at) =>
          db.useQuery(
            input(() => query(at())),
            { keepPrevious },
          ),
        (given) => names(state(given)),
      );
      await pass();
      expect(person.text()).toBe('Ann');
      await person.set(1);
      expect(person.text()).toBe(shown);
      await pass();
      expect(person.text()).toBe('Bob');
      await name(1, 'Anna');
      await pass(20_000);
      expect(person.text()).toBe('Bob');
      expect(ended(stage)).toBe(1);
      person.unmount();
    },
  );

  test('[J216] `null` asks nothing, until it is a query', async () => {
    const { stage, db, pass, name } = set();
    await name(1, 'Ann');
    const people = framework.mount(
      (at) => db.useQuery(input(() => (at() === 0 ? null : QUERY))),
      (given) => names(state(given)),
    );
    await pass();
    expect(people.text()).toBe('loading');
    expect(stage.ops('add-query')).toEqual([]);
    await people.set(1);
    await pass();
    expect(people.text()).toBe('Ann');
    people.unmount();
  });

  test('[J215] a refused query says why', async () => {
    const { stage, db, pass } = set();
    stage.server.refuse = { type: 'permission-denied', message: 'no' };
    const people = framework.mount(
      () => db.useQuery(QUERY),
      (given) => names(state(given)),
    );
    await pass();
    expect(people.text()).toBe('failed: no');
    people.unmount();
  });

  test('[FN342] `useCall` shows what a function returns, by its arguments now', async () => {
    const { stage, db, pass } = set();
    const text = ({ data, isLoading, error }: any) =>
      error ? `failed: ${error.code}` : isLoading ? 'loading' : data.map(titleOf).join(' ');
    const books = framework.mount(
      (at) =>
        db.useCall(
          api.list,
          input(() => [null, { of: 'a' }, { of: 'b' }][at()]),
        ),
      (given) => text(state(given)),
    );
    const missing = framework.mount(
      () => db.useCall(api.missing, {}),
      (given) => text(state(given)),
    );
    await pass();
    expect([books.text(), missing.text()]).toEqual(['loading', 'failed: function-not-found']);
    expect(stage.ops('add-call')).toHaveLength(1);
    await books.set(1);
    await pass();
    expect(books.text()).toBe('');
    const put = (number: number, title: string, optimistic?: unknown) =>
      act(() => void db.call(api.put, { id: entity(number), title }, { optimistic }));
    const renders = books.renders();
    await put(1, 'ab', (_tx: unknown, book: object, live: any) => [
      live(api.list, { of: 'a' }).put(book),
    ]);
    expect([books.text(), books.renders()]).toEqual(['ab', renders + 1]);
    await pass();
    await put(2, 'ba');
    await pass();
    expect([books.text(), books.renders()]).toEqual(['ab', renders + 1]);
    await books.set(2);
    await pass(20_000);
    expect(books.text()).toBe('ba');
    expect(stage.ops('remove-call')).toMatchObject([{ args: { of: 'a' } }]);
    books.unmount();
    missing.unmount();
  });

  test('[J351] `usePagedCall` shows the pages that are loaded, by its arguments now', async () => {
    const { stage, db, pass } = set();
    let list: any;
    const books = framework.mount(
      (at) =>
        db.usePagedCall(
          api.pages,
          input(() => [null, { of: 'b', page: { size: 1 } }][at()]),
        ),
      (given) => {
        list = state(given);
        return list.isLoading ? 'loading' : list.data.map(titleOf).join(' ');
      },
    );
    for (const number of [1, 2, 3])
      await act(() => void db.call(api.put, { id: entity(number), title: `b${number}` }));
    await pass();
    expect(books.text()).toBe('loading');
    expect(stage.ops('add-call')).toEqual([]);
    await books.set(1);
    await pass();
    expect([books.text(), list.canLoadNextPage]).toEqual(['b1', true]);
    await act(() => list.loadNextPage());
    await pass();
    expect([books.text(), list.canLoadNextPage]).toEqual(['b1 b2', true]);
    const renders = books.renders();
    await act(() => void db.call(api.put, { id: entity(2), title: 'b9' }));
    await pass();
    expect([books.text(), books.renders()]).toEqual(['b1 b9', renders + 1]);
    books.unmount();
  });

  test('[J217] rows that did not change are the same objects', async () => {
    const { db, pass, name } = set();
    await name(1, 'Ann');
    await name(2, 'Bob');
    const seen: any[] = [];
    const people = framework.mount(
      () => db.useQuery(QUERY),
      (given) => {
        const { data } = state(given);
        seen.push([...(data?.people ?? [])]);
        return String(data?.people?.map((person: any) => person.name).join(' '));
      },
    );
    await pass();
    await name(2, 'Cid');
    expect(people.text()).toBe('Ann Cid');
    const [before, after] = seen.slice(-2);
    expect(before).toHaveLength(2);
    expect(after[0]).toBe(before[0]);
    people.unmount();
  });

  test('[J218] lists are loaded page by page', async () => {
    const { db, pass, name } = set();
    for (const [number, letter] of [...'abcde'].entries()) await name(number, letter);
    await pass();
    let list: any;
    const people = framework.mount(
      () => {
        const query = { people: { $: { order: { name: 'asc' }, limit: 2 } } };
        return db.useInfiniteQuery(input(() => query));
      },
      (given) => {
        list = state(given);
        return (list.data?.people ?? []).map((person: any) => person.name).join(' ');
      },
    );
    expect([list.isLoading, list.canLoadNextPage]).toEqual([true, false]);
    await pass();
    expect(people.text()).toBe('a b');
    await act(() => list.loadNextPage());
    await pass();
    await act(() => list.loadNextPage());
    await pass();
    expect([people.text(), list.canLoadNextPage]).toEqual(['a b c d e', false]);
    await name(9, 'b5');
    expect(people.text()).toBe('a b b5 c d e');
    people.unmount();
  });

  test('[J218] totals are live', async () => {
    const { db, pass, write } = set();
    const count = framework.mount(
      () => db.useTotals({ people: { $: { aggregate: { count: true } } } }),
      (given) => JSON.stringify(state(given).data) ?? 'loading',
    );
    expect(count.text()).toBe('loading');
    await pass();
    expect(count.text()).toBe('{"people":{"count":0}}');
    await write(db.tx.people[entity(1)].create({ name: 'Ann' }));
    expect(count.text()).toBe('{"people":{"count":1}}');
    count.unmount();
  });

  test('[J219] who is signed in is live, and useUser has who it is', async () => {
    const { db, pass } = set();
    const auth = framework.mount(
      () => db.useAuth(),
      (given) => {
        const { isLoading, user } = state(given);
        return isLoading ? 'loading' : (user?.email ?? 'nobody');
      },
    );
    expect(auth.text()).toBe('loading');
    await pass();
    expect(auth.text()).toBe('nobody');
    await act(() => db.auth.signInAsGuest());
    expect(auth.text()).toBe('a@b.c');
    const user = framework.mount(
      () => db.useUser(),
      (given) => state(given).email,
    );
    expect(user.text()).toBe('a@b.c');
    user.unmount();
    await act(() => db.auth.signOut());
    expect(auth.text()).toBe('nobody');
    auth.unmount();
  });

  test('[J219] status, pending writes, disk and local ids are live', async () => {
    const { db, pass, name, write } = set();
    const all = framework.mount(
      () => [
        db.useConnectionStatus(),
        db.usePending(),
        db.useStorageStatus(),
        db.useLocalId('device'),
      ],
      (given) => {
        const [status, pending, disk, id] = given.map(value);
        return [status, pending.map((entry: any) => entry.state), disk, typeof id].join(' ');
      },
    );
    await pass();
    expect(all.text()).toBe('authenticated  memory string');
    await name(1, 'Ann');
    expect(all.text()).toBe('authenticated sent memory string');
    await pass();
    await write(db.tx.people[entity(2)].create({ name: 'forbidden' }));
    await pass();
    expect(all.text()).toBe('authenticated rejected memory string');
    all.unmount();
  });

  describe('rooms', () => {
    /** The same with a member of the room `r0` that is no component. */
    async function enter() {
      const all = set();
      const other: RoomHandle = all.stage.device().joinRoom('chat', 'r0');
      other.publishPresence({ name: 'Bob', x: 1 });
      // The code of rooms is fetched in real time, whatever the clock of the test says.
      await import('../../src/rooms/rooms.ts');
      await all.pass(20_000);
      const shown = () => Object.values(other.getPresence()!.peers)[0];
      const room = (at = 0) => all.db.room('chat', `r${at}`);
      return { ...all, other, room, shown };
    }

    test('[J220] presence is live, while the component is there', async () => {
      const { other, pass, room, shown, db } = await enter();
      let presence: any;
      const peers = framework.mount(
        (at) =>
          db.rooms.usePresence(
            input(() => room(at())),
            { keys: ['name'], user: false },
          ),
        (given) => {
          presence = state(given);
          const all: any[] = Object.values(presence.peers);
          return presence.isLoading ? 'loading' : all.map(({ name }) => name).join(' ');
        },
      );
      expect(peers.text()).toBe('loading');
      await pass(20_000);
      expect(peers.text()).toBe('Bob');
      const before = peers.renders();
      other.publishPresence({ x: 2 });
      await pass(20_000);
      expect(peers.renders()).toBe(before);
      other.publishPresence({ name: 'Bert' });
      await pass(20_000);
      expect([peers.text(), peers.renders()]).toEqual(['Bert', before + 1]);
      await act(() => presence.publishPresence({ mood: 'well' }));
      await pass(20_000);
      expect(shown()).toMatchObject({ mood: 'well' });

      await peers.set(1);
      await pass(20_000);
      expect(peers.text()).toBe('');
      expect(shown()).toBeUndefined();
      peers.unmount();
    });

    test('[J220] useSyncPresence shows what it was given last', async () => {
      const { stage, pass, room, shown, db } = await enter();
      stage.sent.length = 0;
      const mood = framework.mount(
        (at) => {
          db.rooms.useSyncPresence(
            room(),
            input(() => ({ mood: at() > 0 ? 'glad' : 'calm' })),
          );
        },
        () => '',
      );
      await pass(20_000);
      expect(shown()).toMatchObject({ mood: 'calm' });
      await mood.set(1);
      await mood.set(2);
      await pass(20_000);
      expect(shown()).toMatchObject({ mood: 'glad' });
      expect(stage.ops('set-presence')).toHaveLength(1);
      mood.unmount();
      await pass(20_000);
      expect(shown()).toBeUndefined();
    });

    test('[J220] topics: messages go out, and come in', async () => {
      const { other, pass, room, db } = await enter();
      const [heard, sent]: unknown[][] = [[], []];
      let publish: (data: unknown) => void = () => {};
      const chat = framework.mount(
        () => {
          publish = room().usePublishTopic('say');
          room().useTopicEffect('say', (event: unknown, peer: any) =>
            heard!.push([event, peer?.name]),
          );
        },
        () => '',
      );
      other.subscribeTopic('say', (event) => sent!.push(event));
      await pass(20_000);
      publish({ n: 1 });
      other.publishTopic('say', { n: 2 });
      await pass(20_000);
      expect(sent).toEqual([{ n: 1 }]);
      expect(heard).toEqual([[{ n: 2 }, 'Bob']]);
      chat.unmount();
      other.publishTopic('say', { n: 3 });
      await pass(20_000);
      expect(heard).toHaveLength(1);
      expect(db.rooms.useTopicEffect).toBeTypeOf('function');
    });

    test('[J220] useTypingIndicator tells of typing until a while, Enter or blur', async () => {
      const { stage, other, pass, room } = await enter();
      let typing: any;
      const field = framework.mount(
        () => room().useTypingIndicator('field', { stopOnEnter: true }),
        (given) => {
          typing = state(given);
          return typing.active.map(({ name }: any) => name).join(' ');
        },
      );
      other.publishPresence({ field: true });
      await pass(20_000);
      expect(field.text()).toBe('Bob');
      other.publishPresence({ field: null });
      await pass(20_000);
      expect(field.text()).toBe('');

      stage.sent.length = 0;
      const values = () => stage.ops('set-presence').map(({ data }: any) => data.field);
      const props = Object.entries<any>(typing.inputProps);
      const press = (key: string) => props.find(([name]) => /keydown/i.test(name))![1]({ key });
      press('a');
      await pass(20_000);
      expect(values()).toEqual([true, null]);
      press('b');
      await pass(500);
      press('Enter');
      await pass(20_000);
      press('c');
      await pass(500);
      props.find(([name]) => /blur/i.test(name))![1]();
      await pass(20_000);
      expect(values()).toEqual([true, null, true, false, true, false]);
      field.unmount();
    });
  });
});
