import { expectTypeOf, test } from 'vitest';
import type { ShallowRef } from 'vue';
import { type CallState, init, type PagedState } from '../../src/index.ts';
import { init as initReact } from '../../src/react/index.ts';
import type { SolidDatabase } from '../../src/solid/index.ts';
import type { SvelteDatabase } from '../../src/svelte/index.ts';
import type { VueDatabase } from '../../src/vue/index.ts';
import { shop } from './shop.ts';

/** As `trice generate` writes functions. */
interface Recent {
  readonly name: 'orders.recent';
  readonly kind: 'query';
  readonly args: { buyer: string; limit?: number };
  readonly result: { id: string; state: string }[];
}
/** A list. */
interface History {
  readonly name: 'orders.history';
  readonly kind: 'query';
  readonly args: { buyer: string; page: { size?: number; after?: string | null } };
  readonly result: { items: { id: string }[]; next: string | null };
  readonly paged: 'page';
  readonly list: { buyer: string; page?: { size?: number } };
  readonly item: { id: string };
}
interface Pay {
  readonly name: 'orders.pay';
  readonly kind: 'mutation';
  readonly args: { order: string };
  readonly result: null;
}
interface Nothing {
  readonly [name: string]: never;
}
interface Sweep {
  readonly name: 'orders.sweep';
  readonly kind: 'action';
  readonly args: Nothing;
  readonly result: number;
}
declare const api: {
  readonly recent: Recent;
  readonly history: History;
  readonly pay: Pay;
  readonly sweep: Sweep;
};
declare const vue: VueDatabase<typeof shop>;
declare const svelte: SvelteDatabase<typeof shop>;
declare const solid: SolidDatabase<typeof shop>;

const db = init({ appId: 'app', schema: shop });
const react = initReact({ appId: 'app', schema: shop });

test('[FN323] calls take the arguments of the function, and give what it returns', () => {
  expectTypeOf(db.call(api.recent, { buyer: 'x' })).toEqualTypeOf<Promise<Recent['result']>>();
  expectTypeOf(db.call(api.sweep, {})).toEqualTypeOf<Promise<number>>();
  // @ts-expect-error: an argument is missing
  void db.call(api.recent, {});
  // @ts-expect-error: one is of another type
  void db.call(api.recent, { buyer: 1 });
  // @ts-expect-error: one is unknown
  void db.call(api.sweep, { buyer: 'x' });
  // Without a schema every namespace is taken.
  void init({ appId: 'app' }).call(
    api.pay,
    { order: 'x' },
    {
      optimistic: (tx, { order }) => [tx.anything![order]!.update({ any: 1 })],
    },
  );
});

test('[FN323] only queries are watched', () => {
  db.subscribeCall(api.recent, { buyer: 'x' }, (state) => {
    expectTypeOf(state).toEqualTypeOf<CallState<Recent['result']>>();
    if (!state.isLoading && !state.error) expectTypeOf(state.data[0]!.state).toBeString();
  });
  // @ts-expect-error: a mutation
  db.subscribeCall(api.pay, { order: 'x' }, () => {});
  // @ts-expect-error: an action
  react.useCall(api.sweep, {});
});

test('[FN323] predictions have the types of the schema and of what is watched', () => {
  void db.call(
    api.pay,
    { order: 'x' },
    {
      optimistic: (tx, { order }, live) => [
        tx.orders[order]!.update({ state: 'paid' }),
        live(api.recent, { buyer: 'x' }).put({ id: order, state: 'paid' }),
        live(api.recent, { buyer: 'x' }).set([]),
        // @ts-expect-error: the schema has no such field
        tx.orders[order]!.update({ colour: 'red' }),
        // @ts-expect-error: it returns something else
        live(api.recent, { buyer: 'x' }).set(7),
        // @ts-expect-error: rows are found by their id
        live(api.recent, { buyer: 'x' }).put({ state: 'paid' }),
      ],
    },
  );
});

test('[FN342] hooks give what a function returns in the form of each framework', () => {
  type State = CallState<Recent['result']>;
  expectTypeOf(react.useCall(api.recent, { buyer: 'x' })).toEqualTypeOf<State>();
  react.useCall(api.recent, null);
  expectTypeOf(vue.useCall(api.recent, () => ({ buyer: 'x' }))).toEqualTypeOf<
    Readonly<ShallowRef<State>>
  >();
  expectTypeOf(svelte.useCall(api.recent, () => null)).toEqualTypeOf<State>();
  expectTypeOf(solid.useCall(api.recent, { buyer: 'x' })).toEqualTypeOf<State>();
  // @ts-expect-error: one is of another type
  solid.useCall(api.recent, () => ({ buyer: 1 }));
});

test('[J351] hooks for lists take functions that list something, and give their items', () => {
  type State = PagedState<{ id: string }>;
  expectTypeOf(react.usePagedCall(api.history, { buyer: 'x' })).toEqualTypeOf<State>();
  react.usePagedCall(api.history, null);
  react.usePagedCall(api.history, { buyer: 'x', page: { size: 20 } });
  expectTypeOf(vue.usePagedCall(api.history, () => ({ buyer: 'x' }))).toEqualTypeOf<
    Readonly<ShallowRef<State>>
  >();
  expectTypeOf(svelte.usePagedCall(api.history, () => null)).toEqualTypeOf<State>();
  expectTypeOf(solid.usePagedCall(api.history, { buyer: 'x' })).toEqualTypeOf<State>();
  // @ts-expect-error: it lists nothing
  react.usePagedCall(api.recent, { buyer: 'x' });
  // @ts-expect-error: which page is not the app's to say
  react.usePagedCall(api.history, { buyer: 'x', page: { after: 'x' } });
  // @ts-expect-error: a mutation
  solid.usePagedCall(api.pay, { order: 'x' });
  void db.call(
    api.pay,
    { order: 'x' },
    {
      optimistic: (_tx, { order }, live) => [
        live(api.history, { buyer: 'x' }).put({ id: order }, { at: 'start' }),
      ],
    },
  );
});
