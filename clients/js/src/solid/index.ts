import { type Accessor, createComputed, createMemo, createSignal, on, onCleanup } from 'solid-js';
import { createStore, reconcile } from 'solid-js/store';
import type { Config } from '../client/config.ts';
import type { TypedConfig } from '../client/typed.ts';
import { type Framework, HookDatabase } from '../hooks/database.ts';
import type { Source } from '../hooks/sources.ts';
import type { DatabaseWithHooks, Form, Listeners, RoomWithHooks } from '../hooks/typed.ts';
import type { Presence } from '../rooms/presence.ts';
import type { AnySchema, UnknownSchema } from '../schema/infer.ts';
import { webEnvironment } from '../web/environment.ts';
import { Copies } from './copies.ts';

/** Hooks give stores and signals, and take values and functions. */
export interface SolidForm extends Form {
  readonly value: Accessor<this['of']>;
  readonly state: this['of'];
  readonly input: this['of'] | Accessor<this['of']>;
  readonly inputProps: Listeners<'onKeyDown', 'onBlur'>;
}

/** A database with hooks for Solid, with the types of its schema. */
export interface SolidDatabase<S extends AnySchema = UnknownSchema> extends DatabaseWithHooks<
  SolidForm,
  S
> {}

/** A room by its name, with hooks for Solid. */
export interface SolidRoom<
  P extends object = Presence,
  T extends object = Record<string, any>,
> extends RoomWithHooks<SolidForm, P, T> {}

/** Calls `take` with what a source shows, now and after each change, while the owner is there. */
function follow<T>(source: () => Source<T>, take: (value: T) => void): void {
  createComputed(
    on(source, (now) => {
      onCleanup(now.subscribe(() => take(now.get())));
      take(now.get());
    }),
  );
}

/** How hooks are made in Solid. */
export const solid: Framework = {
  read: (input) => (typeof input === 'function' ? input() : input),
  value<T>(source: () => Source<T>) {
    const [shown, show] = createSignal(source().get());
    follow(source, (value) => show(() => value));
    return shown;
  },
  /** A row stays the same object in the store, so only the fields that changed are told. */
  state<T extends object>(source: () => Source<T>) {
    const copies = new Copies();
    const [shown, show] = createStore(copies.of(source().get()));
    follow(source, (value) => show(reconcile(copies.of(value), { key: 'id' })));
    return shown;
  },
  effect: (key, run) => createComputed(on(createMemo(key), () => onCleanup(run()))),
  listeners: { keyDown: 'onKeyDown', blur: 'onBlur' },
};

/**
 * Opens the data of an app, with hooks for Solid. With a schema, queries, writes and what is found
 * have its types.
 *
 *     const db = init({ appId: '…', server: 'https://data.example.org', schema });
 *     const todos = db.useQuery(() => ({ todos: { $: { where: { list: props.list } } } }));
 *     // <For each={todos.data?.todos}>; todos.isLoading, todos.error
 */
export function init<S extends AnySchema>(config: TypedConfig<S>): SolidDatabase<S>;
export function init(config: Config): SolidDatabase;
export function init(config: Config): SolidDatabase {
  return new HookDatabase(config, webEnvironment(), solid) as unknown as SolidDatabase;
}

export * from '../hooks/index.ts';
