import { beforeAll, expect, test } from 'vitest';
import * as later from '../../src/client/later.ts';
import { entity } from '../support/stage.ts';
import { create, outcomeOf, states, TabStage, watch } from '../support/tab-stage.ts';

// The code of tabs is fetched at first use; here it is there, so that only the clock counts.
beforeAll(() => import('../../src/client/later.ts'));

test('[J166] who signs in or out does so in all tabs; what waited is dropped in all', async () => {
  const stage = new TabStage();
  const user = { id: entity(9), email: 'ada@example.org', refresh_token: 'token' };
  const fetch = async () => ({ status: 200, text: async () => JSON.stringify({ user }) });
  const [leader, follower] = [await stage.tab({}, fetch), await stage.tab({}, fetch)];
  await stage.settle();
  await leader.db.auth.signInWithToken('token');
  await stage.settle();
  for (const { db } of [leader, follower]) expect(db.authState.user?.id).toBe(user.id);
  expect(stage.open).toBe(1);
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(3_000);
  const outcome = outcomeOf(create(leader.db, 1, 'Dune'));
  await stage.clock.pass(200);
  expect(outcome).toEqual({ status: 'enqueued' });
  const out = follower.db.auth.signOut({ invalidateToken: false });
  await stage.clock.pass(3_000);
  expect(await out).toEqual({ dropped: 1 });
  for (const tab of [leader, follower]) {
    expect(tab.db.authState.user).toBeNull();
    expect(states(tab)).toEqual([]);
  }
  stage.network.isUp = true;
  await stage.settle();
  await stage.settle();
  expect(stage.server.applied.size).toBe(0);
  expect([...stage.browser.stored.disks.databases.keys()].join()).not.toContain(user.id);
});

test('[J166] a session that the server ended ends in all tabs; what waits is kept', async () => {
  const stage = new TabStage();
  const user = { id: entity(9), email: 'ada@example.org', refresh_token: 'token' };
  const fetch = async () => ({ status: 200, text: async () => JSON.stringify({ user }) });
  const [leader, follower] = [await stage.tab({}, fetch), await stage.tab({}, fetch)];
  await follower.db.auth.signInWithToken('token');
  await stage.settle();
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(3_000);
  const outcomes = [leader, follower].map(({ db }, n) => outcomeOf(create(db, n + 1, `${n}`)));
  await stage.clock.pass(500);
  const hint = { 'record-type': 'app-user' };
  stage.server.refuseInit = { type: 'record-not-found', message: 'no', hint };
  stage.network.isUp = true;
  await stage.clock.pass(40_000);
  stage.server.refuseInit = null;
  for (const { db } of [leader, follower]) expect(db.authState.user).toBeNull();
  expect(outcomes).toEqual([{ status: 'enqueued' }, { status: 'enqueued' }]);
  await leader.db.auth.signInWithToken('token');
  await stage.clock.pass(60_000);
  expect(stage.server.applied.size).toBe(2);
});

test('[J167] what other users, other versions and older leaders say is refused', async () => {
  const stage = new TabStage();
  const [leader, follower] = [await stage.tab(), await stage.tab()];
  const seen = watch(follower.db);
  await stage.settle();
  const { name, text } = stage.browser.spoken.find(({ text }) => text.includes('"frame"'))!;
  const real = JSON.parse(text) as Record<string, unknown>;
  const stranger = stage.browser.open({ tabs: false });
  const say = (to: string, message: object) =>
    stranger.environment
      .tabs!.signals(later)
      .channel(to, () => {})
      .send(JSON.stringify(message));
  const all = name.slice(0, name.lastIndexOf(':'));
  const write = { op: 'add', id: entity(77), operations: [], createdAt: 0 };
  const count = seen.length;
  for (const wrong of [{ user: 'eve' }, { v: 2 }, { epoch: '0' }]) {
    say(name, { ...real, ...write, ...wrong });
    say(all, { ...real, op: 'lead', epoch: '9'.repeat(15), ...wrong });
  }
  say(all, { v: 1, user: 'eve', from: 'eve', op: 'hello', life: 'eve' });
  await stage.clock.pass(1_000);
  expect(leader.db.pending.list()).toEqual([]);
  expect(seen).toHaveLength(count);
  expect(stage.browser.spoken.some(({ name: to }) => to.endsWith(':eve'))).toBe(false);
  expect(leader.db.connectionStatus).toBe('authenticated');
});
