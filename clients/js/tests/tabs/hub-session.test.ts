import { expect, test } from 'vitest';
import type { Queries } from '../../src/client/queries.ts';
import type { Session } from '../../src/client/session.ts';
import type { Message } from '../../src/session/part.ts';
import { queryHash } from '../../src/store/hash.ts';
import { Store } from '../../src/store/store.ts';
import { HubSession } from '../../src/tabs/hub-session.ts';
import { SHELF_ATTRS } from '../support/shelf.ts';

const QUERY = { books: {} };
const HASH = queryHash(QUERY);

/** A leader's answer, and a follower that asks for it. */
function stage() {
  const sent: Message[] = [];
  const store = new Store({
    schema: undefined,
    local: { need: () => {} },
    hasOne: () => false,
    id: () => 'id',
    keepInvented: () => {},
    code: { part: null, need: () => {} },
    trace: {},
    landed: (answer, news) => hub.landed(answer, news),
  });
  const session = { held: { tx: 9 }, error: null, isAnswered: () => false };
  const hub: HubSession = new HubSession({
    store,
    session: session as unknown as Session,
    queries: {
      observe: () => {
        store.open(QUERY);
        return { subscribe: () => () => {} };
      },
    } as unknown as Queries,
    send: (messages) => sent.push(...messages),
  });
  store.setCatalog(SHELF_ATTRS);
  hub.receive({ op: 'init' });
  const land = (news: object) => {
    store.land({ hash: HASH }, { tx: 9, ...news });
    hub.flush();
    return sent.at(-1)!;
  };
  return { hub, land, sent };
}

const ALL = { data: { 'datalog-result': { 'join-rows': [[]] } } };

test('[J160] a follower is told the steps from what it holds, or the whole', () => {
  const { hub, land } = stage();
  const add = (held?: string) =>
    hub.receive({ op: 'add-query', q: QUERY, 'client-event-id': 'e', ...(held ? { held } : {}) });
  add('v0');
  expect(land({ version: 'v1', result: [ALL] })).toMatchObject({
    ...{ op: 'add-query-ok', 'client-event-id': 'e', version: 'v1', 'processed-tx-id': 9 },
    result: [ALL],
  });
  const step = land({ version: 'v2', from: 'v1', delta: { added: [] }, tx: 10 });
  expect(step).toMatchObject({
    ...{ op: 'refresh-ok', 'processed-tx-id': 10 },
    computations: [{ version: 'v2', from: 'v1', delta: {} }],
  });
  const same = land({ version: 'v2', from: 'v2', tx: 11 });
  expect(same.computations).toEqual([{ 'query-id': HASH, version: 'v2', from: 'v2' }]);
});

test('[J160] steps from a version that the follower does not hold are not told', () => {
  const { hub, land, sent } = stage();
  hub.receive({ op: 'add-query', q: QUERY, 'client-event-id': 'e', held: 'v0' });
  land({ version: 'v1', result: [ALL] });
  hub.receive({ op: 'remove-query', q: QUERY });
  hub.receive({ op: 'add-query', q: QUERY, 'client-event-id': 'f', held: 'v0' });
  const answer = land({ version: 'v2', from: 'v1', delta: { added: [] } });
  expect(answer).toMatchObject({ 'client-event-id': 'f', version: 'v2', result: [ALL] });
  expect(answer).not.toHaveProperty('delta');
  expect(sent.filter(({ op }) => op === 'add-query-ok')).toHaveLength(2);
});
