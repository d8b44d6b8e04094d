import { type MaybeRefOrGetter, type ShallowRef, shallowRef, toValue, watch } from 'vue';
import type { Config } from '../client/config.ts';
import type { TypedConfig } from '../client/typed.ts';
import { type Framework, HookDatabase } from '../hooks/database.ts';
import type { Source } from '../hooks/sources.ts';
import type { DatabaseWithHooks, Form, Listeners, RoomWithHooks } from '../hooks/typed.ts';
import type { Presence } from '../rooms/presence.ts';
import type { AnySchema, UnknownSchema } from '../schema/infer.ts';
import { webEnvironment } from '../web/environment.ts';

/** Hooks give refs, and take values, refs and getters. */
export interface VueForm extends Form {
  readonly value: Readonly<ShallowRef<this['of']>>;
  readonly state: Readonly<ShallowRef<this['of']>>;
  readonly input: MaybeRefOrGetter<this['of']>;
  readonly inputProps: Listeners<'onKeydown', 'onBlur'>;
}

/** A database with hooks for Vue, with the types of its schema. */
export interface VueDatabase<S extends AnySchema = UnknownSchema> extends DatabaseWithHooks<
  VueForm,
  S
> {}

/** A room by its name, with hooks for Vue. */
export interface VueRoom<
  P extends object = Presence,
  T extends object = Record<string, any>,
> extends RoomWithHooks<VueForm, P, T> {}

/** What is shown is frozen: a shallow ref looks at nothing inside of it. */
function live<T>(source: () => Source<T>): Readonly<ShallowRef<T>> {
  const shown = shallowRef(source().get()) as ShallowRef<T>;
  const follow = (now: Source<T>, _: unknown, onCleanup: (stop: () => void) => void) => {
    const take = () => (shown.value = now.get());
    // The watcher ends with its scope: on a server as soon as the page is made.
    onCleanup(now.subscribe(take));
    take();
  };
  watch(source, follow, { immediate: true, flush: 'sync' });
  return shown;
}

/** How hooks are made in Vue. */
export const vue: Framework = {
  read: (input) => toValue(input as MaybeRefOrGetter),
  value: live,
  state: live,
  effect: (key, run) =>
    void watch(key, (_now, _before, onCleanup) => onCleanup(run()), { immediate: true }),
  listeners: { keyDown: 'onKeydown', blur: 'onBlur' },
};

/**
 * Opens the data of an app, with hooks for Vue. With a schema, queries, writes and what is found
 * have its types.
 *
 *     const db = init({ appId: '…', server: 'https://data.example.org', schema });
 *     const todos = db.useQuery(() => ({ todos: { $: { where: { list: props.list } } } }));
 *     // in the template: todos.isLoading, todos.error, todos.data
 */
export function init<S extends AnySchema>(config: TypedConfig<S>): VueDatabase<S>;
export function init(config: Config): VueDatabase;
export function init(config: Config): VueDatabase {
  return new HookDatabase(config, webEnvironment(), vue) as unknown as VueDatabase;
}

export * from '../hooks/index.ts';
