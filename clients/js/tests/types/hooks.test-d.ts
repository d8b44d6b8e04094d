import type { Accessor } from 'solid-js';
import { expectTypeOf, test } from 'vitest';
import { ref, type ShallowRef } from 'vue';
import type { ConnectionStatus, Entry, QueryState, User } from '../../src/index.ts';
import { i } from '../../src/index.ts';
import { init as initSolid, type SolidDatabase } from '../../src/solid/index.ts';
import { init as initSvelte, type SvelteDatabase } from '../../src/svelte/index.ts';
import { init as initVue, type VueDatabase } from '../../src/vue/index.ts';
import { shop } from './shop.ts';

type S = typeof shop;
declare const vue: VueDatabase<S>;
declare const svelte: SvelteDatabase<S>;
declare const solid: SolidDatabase<S>;

test('[J221] in Vue hooks give refs, and take values, refs and getters', () => {
  const query = { orders: { buyer: {} } } as const;
  const given = vue.useQuery(query);
  expectTypeOf(given).toEqualTypeOf<Readonly<ShallowRef<QueryState<S, typeof query>>>>();
  const state = given.value;
  if (!state.isLoading && !state.error)
    expectTypeOf(state.data.orders[0]!.state).toEqualTypeOf<'open' | 'paid'>();
  expectTypeOf(vue.useQuery(() => query)).toEqualTypeOf<typeof given>();
  vue.useQuery(ref(query));
  vue.useQuery(() => null);
  // @ts-expect-error: the schema has no such field
  vue.useQuery(() => ({ orders: { $: { where: { colour: 'red' } } } }));
  // @ts-expect-error: nor such a namespace
  vue.useQuery({ order: {} });
  expectTypeOf(vue.useConnectionStatus().value).toEqualTypeOf<ConnectionStatus>();
  expectTypeOf(vue.usePending().value).toEqualTypeOf<readonly Entry[]>();
  expectTypeOf(vue.useUser().value).toEqualTypeOf<User>();
});

test('[J221] in Svelte hooks give objects, and take values and functions', () => {
  const query = { orders: {} } as const;
  const state = svelte.useQuery(() => query);
  expectTypeOf(state).toEqualTypeOf<QueryState<S, typeof query>>();
  expectTypeOf(svelte.useQuery(query)).toEqualTypeOf<typeof state>();
  // @ts-expect-error: the schema has no such namespace
  svelte.useQuery(() => ({ order: {} }));
  expectTypeOf(svelte.useConnectionStatus().current).toEqualTypeOf<ConnectionStatus>();
  expectTypeOf(svelte.useLocalId('x').current).toEqualTypeOf<string | null>();
  expectTypeOf(svelte.useUser()).toEqualTypeOf<User>();
});

test('[J221] in Solid hooks give stores and signals, and take values and functions', () => {
  const query = { orders: {} } as const;
  const state = solid.useQuery(() => query);
  expectTypeOf(state).toEqualTypeOf<QueryState<S, typeof query>>();
  expectTypeOf(solid.useInfiniteQuery(query).data).toEqualTypeOf<
    NonNullable<typeof state.data> | undefined
  >();
  // @ts-expect-error: the schema has no such namespace
  solid.useTotals(() => ({ order: { $: { aggregate: { count: true } } } }));
  expectTypeOf(solid.useConnectionStatus()).toEqualTypeOf<Accessor<ConnectionStatus>>();
});

test('[J221] rooms have the types of the schema', () => {
  const room = vue.room('counter', 'r');
  expectTypeOf(room.usePresence().value.peers.x!.name).toEqualTypeOf<string>();
  const { publishPresence } = solid.rooms.usePresence(() => solid.room('counter', 'r'));
  publishPresence({ x: 3 });
  // @ts-expect-error: not of the field's type
  publishPresence({ x: '3' });
  // @ts-expect-error: the room has no such field
  svelte.rooms.useSyncPresence(svelte.room('counter', 'r'), () => ({ mood: 'well' }));
  vue.rooms.usePublishTopic(room, 'bell')({ times: 3 });
  // @ts-expect-error: no such topic
  vue.rooms.usePublishTopic(room, 'horn');
});

test('[J221] `init` takes a schema or none', () => {
  const schema = i.schema({ entities: { todos: i.entity({ title: i.string() }) } });
  const typed = initVue({ appId: 'x', schema }).useQuery({ todos: {} });
  expectTypeOf(typed.value.data!.todos[0]!.title).toEqualTypeOf<string>();
  expectTypeOf(initSvelte({ appId: 'x' }).useQuery({ a: {} }).data!.a[0]!.b).toBeAny();
  expectTypeOf(initSolid({ appId: 'x' }).useQuery({ a: {} }).data!.a[0]!.b).toBeAny();
});
