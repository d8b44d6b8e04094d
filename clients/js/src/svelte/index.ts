import { onMount } from 'svelte';
import { createSubscriber } from 'svelte/reactivity';
import { toStore } from 'svelte/store';
import type { Config } from '../client/config.ts';
import type { TypedConfig } from '../client/typed.ts';
import { type Framework, HookDatabase } from '../hooks/database.ts';
import type { Source } from '../hooks/sources.ts';
import type { DatabaseWithHooks, Form, Listeners, RoomWithHooks } from '../hooks/typed.ts';
import type { Presence } from '../rooms/presence.ts';
import type { AnySchema, UnknownSchema } from '../schema/infer.ts';
import { webEnvironment } from '../web/environment.ts';

/** A value that is live where it is read. */
export interface Current<T> {
  readonly current: T;
}

/** Hooks give objects that are live where they are read, and take values and functions. */
export interface SvelteForm extends Form {
  readonly value: Current<this['of']>;
  readonly state: this['of'];
  readonly input: this['of'] | (() => this['of']);
  readonly inputProps: Listeners<'onkeydown', 'onblur'>;
}

/** A database with hooks for Svelte, with the types of its schema. */
export interface SvelteDatabase<S extends AnySchema = UnknownSchema> extends DatabaseWithHooks<
  SvelteForm,
  S
> {}

/** A room by its name, with hooks for Svelte. */
export interface SvelteRoom<
  P extends object = Presence,
  T extends object = Record<string, any>,
> extends RoomWithHooks<SvelteForm, P, T> {}

/** Reads what a source shows; whatever reads it is run again when that changes. */
function reader<T>(source: () => Source<T>): () => T {
  const subscribers = new WeakMap<Source<T>, () => void>();
  return () => {
    const now = source();
    const subscribe = subscribers.get(now) ?? createSubscriber((update) => now.subscribe(update));
    subscribers.set(now, subscribe);
    subscribe();
    return now.get();
  };
}

/** How hooks are made in Svelte: without runes, so nothing of this needs its compiler. */
export const svelte: Framework = {
  read: (input) => (typeof input === 'function' ? input() : input),
  value: (source) => Object.defineProperty({}, 'current', { get: reader(source) }),
  /** An object that has the parts which the state has when it is asked. */
  state(source) {
    const read = reader(source);
    const partOf = (key: PropertyKey) => Object.getOwnPropertyDescriptor(read(), key);
    return new Proxy({} as ReturnType<typeof read>, {
      get: (_, key) => partOf(key)?.value,
      has: (_, key) => key in read(),
      ownKeys: () => Reflect.ownKeys(read()),
      getOwnPropertyDescriptor: (_, key) =>
        partOf(key) && { ...partOf(key), writable: true, configurable: true },
    });
  },
  effect(key, run) {
    onMount(() => {
      let stop = () => {};
      const unsubscribe = toStore(key).subscribe(() => {
        stop();
        stop = run();
      });
      return () => {
        unsubscribe();
        stop();
      };
    });
  },
  listeners: { keyDown: 'onkeydown', blur: 'onblur' },
};

/**
 * Opens the data of an app, with hooks for Svelte 5. With a schema, queries, writes and what is
 * found have its types.
 *
 *     const db = init({ appId: '…', server: 'https://data.example.org', schema });
 *     const todos = db.useQuery(() => ({ todos: { $: { where: { list } } } }));
 *     // in the template: todos.isLoading, todos.error, todos.data
 */
export function init<S extends AnySchema>(config: TypedConfig<S>): SvelteDatabase<S>;
export function init(config: Config): SvelteDatabase;
export function init(config: Config): SvelteDatabase {
  return new HookDatabase(config, webEnvironment(), svelte) as unknown as SvelteDatabase;
}

export * from '../hooks/index.ts';
