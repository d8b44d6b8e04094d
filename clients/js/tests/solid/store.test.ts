// @vitest-environment happy-dom
import { createRenderEffect, createRoot, For } from 'solid-js';
import { createStore, reconcile } from 'solid-js/store';
import h from 'solid-js/h';
import { render } from 'solid-js/web';
import { expect, test } from 'vitest';
import { Copies } from '../../src/solid/copies.ts';
import { solid } from '../support/frameworks/solid.ts';
import { Random, seeds } from '../support/random.ts';
import { SHELF_SCHEMA } from '../support/shelf.ts';
import { entity, Stage } from '../support/stage.ts';
import { environmentOf } from '../simulation/network.ts';

test('[J217] of a row that changed only the fields that changed are told', async () => {
  const stage = new Stage();
  stage.server.data = { ...stage.server.data, triples: [] };
  const environment = environmentOf(stage.clock, stage.random, stage.network);
  const db = solid.database({ appId: 'app', schema: SHELF_SCHEMA }, environment);
  const name = (number: number, name: string) =>
    void db.transact(db.tx.people[entity(number)].update({ name }));
  name(1, 'Ann');
  name(2, 'Bob');
  let made = 0;
  const element = document.createElement('div');
  const dispose = render(
    (() => {
      const people = db.useQuery({ people: { $: { order: { name: 'asc' } } } });
      const row = (person: { name: string }) => {
        made++;
        const line = document.createElement('p');
        // happy-dom loses texts that `h` writes into elements that move.
        createRenderEffect(() => (line.textContent = person.name));
        return line;
      };
      return h(For as never, { each: () => people.data?.people }, row);
    }) as never,
    element,
  );
  await stage.clock.pass(5_000);
  const [ann, bob] = element.querySelectorAll('p');
  name(2, 'Bert');
  expect(element.textContent).toBe('AnnBert');
  name(1, 'Zoe');
  expect(element.textContent).toBe('BertZoe');
  expect([...element.querySelectorAll('p')]).toEqual([bob, ann]);
  expect(made).toBe(2);
  dispose();
});

test('[J217] a store shows what the database does, after changes of every kind', () => {
  for (const seed of seeds(200)) {
    const random = new Random(seed);
    createRoot((dispose) => {
      const copies = new Copies();
      let state = frozen({ isLoading: false, data: { people: [] as Row[] } });
      const [shown, show] = createStore<typeof state>(copies.of(state));
      for (let step = 0; step < 12; step++) {
        state = frozen({ ...state, data: { people: changed(state.data.people, random) } });
        show(reconcile(copies.of(state), { key: 'id' }));
        expect(JSON.parse(JSON.stringify(shown)), `seed ${seed}`).toEqual(state);
      }
      dispose();
    });
  }
});

interface Row {
  readonly id: string;
  readonly [field: string]: unknown;
}

/** What rows of a database have in common: lists without rows, values, a row under two others. */
const SHARED = [
  frozen([]),
  frozen({ deep: { n: 1 } }),
  frozen([{ id: 'x', pets: [] }]),
  frozen({ id: 'y', n: 2 }),
  null,
];

/** Rows go, come, move and change; those that do not are the same objects. */
function changed(rows: readonly Row[], random: Random): Row[] {
  const kept = rows.filter(() => random.chance(0.9));
  const next = kept.map((row) => {
    if (random.chance(0.6)) return row;
    const field = random.pick(['prefs', 'pets', 'owner']);
    const value = random.chance(0.7) ? random.pick(SHARED) : { deep: { n: random.below(9) } };
    return { ...row, [field]: value };
  });
  const id = `e${random.below(8)}`;
  if (!next.some((row) => row.id === id)) next.push({ id, pets: SHARED[0] });
  if (random.chance(0.3)) next.reverse();
  return next;
}

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(frozen);
    Object.freeze(value);
  }
  return value;
}
