/**
 * Members that come, go, change what they show and lose their connections: at rest each shows what
 * the server has, and whoever hears messages hears each once, in the order of the server.
 */
import { beforeAll, expect, test } from 'vitest';
import type { RoomHandle } from '../../src/client/rooms.ts';
import type { PresenceState } from '../../src/rooms/presence.ts';
import { Random, seeds } from '../support/random.ts';
import { Stage } from '../support/stage.ts';

beforeAll(() => import('../../src/rooms/rooms.ts'));

const STEPS = 80;

class Member {
  readonly heard: number[] = [];
  /** Its place in the room: what it shows is the last state that it was told. */
  state: PresenceState | undefined;
  #room: RoomHandle | undefined;
  #leave: () => void = () => {};
  readonly #enter: () => RoomHandle;

  constructor(stage: Stage) {
    const db = stage.device();
    this.#enter = () => db.joinRoom('chat', 'r', { initialPresence: { fresh: true } });
  }

  get isIn(): boolean {
    return this.#room !== undefined;
  }

  act(random: Random, count: () => number): void {
    if (!this.#room) return this.#join();
    const roll = random.next();
    if (roll < 0.15) this.#part();
    else if (roll < 0.3) this.#room.publishTopic('n', count());
    else this.#room.publishPresence(fields(random));
  }

  #join(): void {
    const room = this.#enter();
    const stops = [
      room.subscribePresence({}, (state) => {
        this.state = state;
      }),
      room.subscribeTopic('n', (n: number) => this.heard.push(n)),
      room.leaveRoom,
    ];
    this.#room = room;
    this.#leave = () => stops.forEach((stop) => stop());
  }

  #part(): void {
    this.#leave();
    this.#room = undefined;
  }
}

/** Fields that come, change, go, and are nested. */
function fields(random: Random): object {
  const key = random.pick(['a', 'b', 'fresh']);
  const value = random.pick<unknown>([
    undefined,
    null,
    random.below(3),
    [],
    [1, { x: random.below(3) }],
    [{ x: 1 }],
    {},
    { x: random.below(3) },
    { y: [random.below(2)], z: { w: random.below(2) } },
  ]);
  return { [key]: value };
}

test.each(seeds(60))('[J99] members converge (seed %i)', async (seed) => {
  const random = new Random(seed);
  const stage = new Stage(seed);
  const members = Array.from({ length: 4 }, () => new Member(stage));
  let count = 0;
  for (let step = 0; step < STEPS; step++) {
    const roll = random.next();
    if (roll < 0.05) stage.network.cutAll(random.pick([1006, 1012]));
    else if (roll < 0.08) stage.network.silenceOne();
    else if (roll < 0.14) stage.network.isUp = random.chance(0.6);
    else random.pick(members).act(random, () => ++count);
    await stage.clock.pass(random.below(random.chance(0.5) ? 60 : 1_500));
  }
  stage.network.isUp = true;
  await stage.clock.pass(10 * 60_000);

  const shown = stage.server.rooms.shown('r');
  const inside = members.filter(({ isIn }) => isIn);
  expect(Object.keys(shown)).toHaveLength(inside.length);
  for (const { state } of inside) {
    const { peerId } = state!.user!;
    const all = { ...state!.peers, [peerId]: state!.user! };
    const told = Object.fromEntries(
      Object.entries(all).map(([id, { peerId: _, ...presence }]) => [id, presence]),
    );
    expect(told).toStrictEqual(shown);
    expect(state).toMatchObject({ isLoading: false, isStale: false });
  }
  const order = new Map(stage.server.rooms.heard.map((n, place) => [n, place]));
  for (const { heard } of members) {
    const places = heard.map((n) => order.get(n)!);
    expect(places).toEqual([...new Set(places)].sort((one, other) => one - other));
  }
});
