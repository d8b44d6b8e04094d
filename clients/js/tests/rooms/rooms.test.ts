import { beforeAll, expect, test } from 'vitest';
import type { RoomHandle } from '../../src/client/rooms.ts';
import type { PresenceState } from '../../src/rooms/presence.ts';
import { entity, Stage } from '../support/stage.ts';

// The code of rooms is fetched at first use; here it is there, so that only the clock counts.
beforeAll(() => import('../../src/rooms/rooms.ts'));

/** A client in the room `r`, and each state that it was told. */
function member(stage: Stage, presence?: object): { room: RoomHandle; told: PresenceState[] } {
  const room = stage.device().joinRoom('chat', 'r', presence && { initialPresence: presence });
  const told: PresenceState[] = [];
  room.subscribePresence({}, (state) => told.push(state));
  return { room, told };
}

/** What the others show, without their ids. */
function others(state: PresenceState | null | undefined): unknown[] {
  return Object.values(state?.peers ?? {}).map(({ peerId: _, ...shown }) => shown);
}

test('[J90] members see each other: at first, after changes, and when one leaves', async () => {
  const stage = new Stage();
  const ada = member(stage, { name: 'Ada' });
  const bob = member(stage, { name: 'Bob', at: { x: 1, y: 2 } });
  await stage.settle();
  expect(others(ada.told.at(-1))).toEqual([{ name: 'Bob', at: { x: 1, y: 2 } }]);
  expect(others(bob.told.at(-1))).toEqual([{ name: 'Ada' }]);
  expect(ada.told.at(-1)).toMatchObject({ user: { name: 'Ada' }, isLoading: false });

  bob.room.publishPresence({ at: { x: 1, y: 3 }, mood: null });
  expect(bob.told.at(-1)).toMatchObject({ user: { name: 'Bob', at: { x: 1, y: 3 }, mood: null } });
  await stage.settle();
  expect(others(ada.told.at(-1))).toEqual([{ name: 'Bob', at: { x: 1, y: 3 }, mood: null }]);

  // The last field goes: a member that shows nothing is a member still.
  bob.room.publishPresence({ name: undefined, at: undefined, mood: undefined });
  await stage.settle();
  expect(others(ada.told.at(-1))).toEqual([{}]);
  expect(others(ada.room.getPresence())).toEqual([{}]);
});

test('[J91] a room is left when all who joined have left, and not for a moment', async () => {
  const stage = new Stage();
  const db = stage.device();
  const one = db.joinRoom('chat', 'r');
  const two = db.joinRoom('chat', 'r');
  const stop = one.subscribePresence({}, () => {});
  await stage.settle();
  one.leaveRoom();
  one.leaveRoom();
  two.leaveRoom();
  await stage.settle();
  expect(stage.ops('leave-room')).toHaveLength(0);
  stop();
  const again = db.joinRoom('chat', 'r');
  await stage.settle();
  expect(stage.ops('leave-room')).toHaveLength(0);
  again.leaveRoom();
  await stage.settle();
  expect(stage.ops('join-room')).toHaveLength(1);
  expect(stage.ops('leave-room')).toHaveLength(1);
});

test('[J91] who leaves is gone for the others, and sees no one', async () => {
  const stage = new Stage();
  const ada = member(stage);
  const bob = stage.device();
  const room = bob.joinRoom('chat', 'r', { initialPresence: { name: 'Bob' } });
  await stage.settle();
  expect(others(ada.told.at(-1))).toEqual([{ name: 'Bob' }]);
  room.leaveRoom();
  await stage.settle();
  expect(others(ada.told.at(-1))).toEqual([]);
  expect(room.getPresence()).toBeNull();
  room.publishPresence({ name: 'ghost' });
  room.publishTopic('ghost', {});
  await stage.settle();
  expect(stage.ops('set-presence')).toHaveLength(0);
  bob.joinRoom('chat', 'r', { initialPresence: { name: 'again' } });
  await stage.settle();
  expect(others(ada.told.at(-1))).toEqual([{ name: 'again' }]);
});

test('[J92] presence leaves at most every 50 ms, whole, and the last one wins', async () => {
  const stage = new Stage();
  const ada = member(stage, { name: 'Ada' });
  const bob = member(stage);
  await stage.settle();
  expect(stage.ops('set-presence')).toEqual([]);
  for (let x = 0; x < 100; x++) {
    ada.room.publishPresence({ x });
    await stage.clock.pass(10);
  }
  await stage.settle();
  const sent = stage.ops('set-presence');
  expect(sent.length).toBeGreaterThanOrEqual(20);
  expect(sent.length).toBeLessThanOrEqual(21);
  expect(sent[0]!.data).toEqual({ name: 'Ada', x: 0 });
  expect(others(bob.told.at(-1))).toEqual([{ name: 'Ada', x: 99 }]);
  // What is shown already is not sent again.
  ada.room.publishPresence({ x: 99 });
  await stage.settle();
  expect(stage.ops('set-presence')).toHaveLength(sent.length);
});

test('[J93] messages reach the others in order, with what their sender shows', async () => {
  const stage = new Stage();
  const ada = member(stage, { name: 'Ada' });
  const bob = member(stage, { name: 'Bob' });
  const heard: unknown[] = [];
  const stop = bob.room.subscribeTopic('emoji', (event, peer) => heard.push([event, peer?.name]));
  const own: unknown[] = [];
  ada.room.subscribeTopic('emoji', (event) => own.push(event));
  await stage.settle();
  for (let n = 0; n < 5; n++) ada.room.publishTopic('emoji', { n });
  ada.room.publishTopic('other', {});
  await stage.settle();
  expect(heard).toEqual([0, 1, 2, 3, 4].map((n) => [{ n }, 'Ada']));
  expect(own).toEqual([]);
  stop();
  ada.room.publishTopic('emoji', { n: 5 });
  await stage.settle();
  expect(heard).toHaveLength(5);
});

test('[J93] 100 messages wait for the room; then the oldest go, and the room says so', async () => {
  const stage = new Stage();
  const bob = member(stage);
  await stage.settle();
  const heard: number[] = [];
  bob.room.subscribeTopic('n', ({ n }: { n: number }) => heard.push(n));
  stage.network.isUp = false;
  stage.network.cutAll();
  const ada = member(stage);
  for (let n = 0; n < 103; n++) ada.room.publishTopic('n', { n });
  await stage.clock.pass(10);
  expect(ada.told.at(-1)!.error?.code).toBe('topics-dropped');
  stage.network.isUp = true;
  // Who is not there yet when a message comes does not hear it: the first to be back is Bob.
  await stage.clock.pass(60_000);
  expect(stage.ops('client-broadcast').map(({ data }) => (data as { n: number }).n)).toEqual(
    Array.from({ length: 100 }, (_, n) => n + 3),
  );
  expect(ada.told.at(-1)!.error).toBeUndefined();
});

test('[J94] after a lost connection a room is joined again, with what was shown last', async () => {
  const stage = new Stage();
  const ada = member(stage, { name: 'Ada' });
  const bob = member(stage, { name: 'Bob' });
  await stage.settle();
  stage.network.cutAll();
  ada.room.publishPresence({ mood: 'lost' });
  await stage.settle();
  expect(others(bob.told.at(-1))).toEqual([{ name: 'Ada', mood: 'lost' }]);
  expect(others(ada.told.at(-1))).toEqual([{ name: 'Bob' }]);
  expect(stage.ops('join-room')).toHaveLength(4);
});

test('[J95] peers of a lost connection are stale for 5 s, then gone', async () => {
  const stage = new Stage();
  const ada = member(stage);
  member(stage, { name: 'Bob' });
  await stage.settle();
  ada.told.length = 0;
  stage.network.isUp = false;
  stage.network.cutAll();
  await stage.clock.pass(4_900);
  expect(ada.told).toHaveLength(1);
  expect(ada.told[0]).toMatchObject({ isStale: true, isLoading: false });
  expect(others(ada.told[0])).toEqual([{ name: 'Bob' }]);
  await stage.clock.pass(200);
  expect(ada.told.at(-1)).toMatchObject({ peers: {}, isStale: false, isLoading: true });
});

test('[J95] a short loss does not make peers blink', async () => {
  const stage = new Stage();
  const ada = member(stage);
  member(stage, { name: 'Bob' });
  await stage.settle();
  ada.told.length = 0;
  stage.network.silenceOne();
  await stage.clock.pass(60_000);
  // Whoever lost it: Bob is shown, stale for a while or not, and there again at the end.
  expect(ada.told.every((state) => state.isStale || !state.isLoading)).toBe(true);
  expect(others(ada.told.at(-1))).toEqual([{ name: 'Bob' }]);
});

test('[J95] a member does not see itself as a peer of the connection before', async () => {
  const stage = new Stage();
  const ada = member(stage, { name: 'Ada' });
  member(stage, { name: 'Bob' });
  await stage.settle();
  ada.told.length = 0;
  stage.network.cutAll();
  for (let n = 0; n < 200; n++) {
    ada.room.publishPresence({ n });
    await stage.clock.pass(10);
  }
  const names = new Set(
    ada.told.flatMap(({ peers }) => Object.values(peers)).map(({ name }) => name),
  );
  expect(names).toEqual(new Set(['Bob']));
  expect(ada.told.at(-1)!.isStale).toBe(false);
});

test('[J36, J95] peers that were shown to one user are not shown to the next', async () => {
  const stage = new Stage();
  stage.answer = () => ({
    status: 200,
    body: { user: { id: entity(1), refresh_token: entity(2) } },
  });
  member(stage, { name: 'Bob' });
  const db = stage.device();
  const told: PresenceState[] = [];
  db.joinRoom('chat', 'r').subscribePresence({}, (state) => told.push(state));
  await stage.settle();
  expect(others(told.at(-1))).toEqual([{ name: 'Bob' }]);
  await db.auth.signInAsGuest();
  expect(told.at(-1)).toMatchObject({ peers: {}, isLoading: true, isStale: false });
  await stage.settle();
  expect(others(told.at(-1))).toEqual([{ name: 'Bob' }]);
});

test('[J96] a room that the rules close says why; a new session asks anew', async () => {
  const stage = new Stage();
  stage.server.rooms.refuseJoins = 'You may not enter.';
  const ada = member(stage, { name: 'Ada' });
  await stage.settle();
  const refused = { isLoading: false, peers: {}, error: { code: 'permission-denied' } };
  expect(ada.told.at(-1)).toMatchObject(refused);
  expect(ada.told.at(-1)!.error!.message).toBe('You may not enter.');
  ada.room.publishPresence({ name: 'Eve' });
  await stage.settle();
  expect(stage.ops('set-presence')).toEqual([]);
  stage.server.rooms.refuseJoins = null;
  stage.network.cutAll();
  await stage.settle();
  expect(ada.told.at(-1)).toMatchObject({ isLoading: false, user: { name: 'Eve' } });
  expect(ada.told.at(-1)!.error).toBeUndefined();
});

test('[J96] a member that loses its right sees nobody, and why', async () => {
  const stage = new Stage();
  const ada = member(stage, { name: 'Ada' });
  member(stage, { name: 'Bob' });
  await stage.settle();
  stage.server.rooms.expel('r', ada.told.at(-1)!.user!.peerId);
  await stage.settle();
  expect(ada.told.at(-1)).toMatchObject({ peers: {}, error: { code: 'permission-denied' } });
  // Joining anew asks anew.
  ada.room.subscribePresence({}, () => {});
  await stage.settle();
  expect(others(ada.told.at(-1))).toEqual([{ name: 'Bob' }]);
});

test('[J96] presence that the server could not take now is sent again', async () => {
  const stage = new Stage();
  const ada = member(stage);
  const bob = member(stage);
  await stage.settle();
  stage.server.refusals.set('set-presence', {
    type: 'rate-limited',
    message: 'too much',
    hint: { 'retry-after': 3_000 },
  });
  ada.room.publishPresence({ x: 1 });
  await stage.clock.pass(2_500);
  expect(ada.told.at(-1)!.error?.code).toBe('rate-limited');
  stage.server.refusals.clear();
  ada.room.publishPresence({ x: 2 });
  await stage.settle();
  expect(ada.told.at(-1)!.error).toBeUndefined();
  expect(others(bob.told.at(-1))).toEqual([{ x: 2 }]);
  expect(stage.ops('set-presence')).toHaveLength(2);
});

test('[J97] a view has what was asked for, and is the same while that is', async () => {
  const stage = new Stage();
  const ada = member(stage);
  const bob = member(stage, { name: 'Bob', x: 1 });
  const names: PresenceState[] = [];
  ada.room.subscribePresence({ keys: ['name'], user: false }, (state) => names.push(state));
  await stage.settle();
  const { length } = names;
  const before = ada.told.at(-1)!;
  expect(names.at(-1)!.user).toBeUndefined();
  expect(others(names.at(-1))).toEqual([{ name: 'Bob' }]);

  bob.room.publishPresence({ x: 2 });
  await stage.settle();
  expect(names).toHaveLength(length);
  expect(ada.told.at(-1)!.peers).not.toBe(before.peers);
  expect(ada.told.at(-1)!.user).toBe(before.user);
  expect(Object.isFrozen(before.peers)).toBe(true);

  const nobody: PresenceState[] = [];
  ada.room.subscribePresence({ peers: ['nobody'] }, (state) => nobody.push(state));
  expect(others(nobody.at(-1))).toEqual([]);
});

test('[J98] what an app does before the code of rooms is there is done in order', async () => {
  const stage = new Stage();
  const db = stage.device();
  const room = db.joinRoom('chat', 'r', { initialPresence: { a: 1 } });
  expect(room.getPresence()).toBeNull();
  room.publishPresence({ b: 2 });
  const heard: unknown[] = [];
  room.subscribeTopic('t', (event) => heard.push(event))();
  room.publishTopic('t', { n: 1 });
  await stage.settle();
  expect(room.getPresence()).toMatchObject({ user: { a: 1, b: 2 }, isLoading: false });
  expect(stage.ops('client-broadcast')).toMatchObject([{ data: { n: 1 } }]);
});
