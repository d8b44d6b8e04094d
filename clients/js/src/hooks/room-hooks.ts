import type { Database } from '../client/database.ts';
import type { RoomsDoor } from '../client/rooms.ts';
import type { Peer, Presence, PresenceOptions } from '../rooms/presence.ts';
import { type Framework, keyed } from './database.ts';
import {
  type PresenceHandle,
  PresenceSource,
  type TypingIndicatorOptions,
  typingPeers,
  typingTeller,
} from './presence.ts';
import { Room } from './room.ts';
import { mapped } from './sources.ts';

/** The hooks of rooms. A room, and what it shows, may be a function, and is live then. */
export function roomHooks(framework: Framework) {
  const read = (input: unknown) => framework.read<Room<any, any>>(input);
  const nameOf = (input: unknown) => {
    const { type, id } = read(input);
    return JSON.stringify([type, id]);
  };
  const enter = (room: unknown) =>
    framework.effect(
      () => nameOf(room),
      () => read(room).join(),
    );

  const usePresence = (input: unknown, opts: PresenceOptions<any> = {}): unknown =>
    framework.state(
      keyed(
        () => nameOf(input),
        () => {
          const source = new PresenceSource(read(input), opts);
          return mapped(source, (state): PresenceHandle => ({
            ...state,
            publishPresence: source.publish,
          }));
        },
      ),
    );

  const useSyncPresence = (room: unknown, fields: unknown): void => {
    const shown = () => framework.read<Presence>(fields);
    framework.effect(
      () => nameOf(room),
      () => read(room).join(shown()),
    );
    framework.effect(
      () => JSON.stringify([nameOf(room), shown()]),
      () => {
        read(room).handle.publishPresence(shown());
        return () => {};
      },
    );
  };

  const usePublishTopic = (room: unknown, topic: string): ((data: any) => void) => {
    enter(room);
    return (data) => read(room).handle.publishTopic(topic, data);
  };

  const useTopicEffect = (
    room: unknown,
    topic: string,
    onEvent: (event: any, peer: Peer<any> | undefined) => void,
  ): void =>
    framework.effect(
      () => nameOf(room),
      () => read(room).handle.subscribeTopic(topic, onEvent),
    );

  const useTypingIndicator = (
    input: unknown,
    inputName: string,
    opts: TypingIndicatorOptions = {},
  ): unknown =>
    framework.state(
      keyed(
        () => nameOf(input),
        () => typingSource(read(input), inputName, opts, framework),
      ),
    );

  return { usePresence, useSyncPresence, usePublishTopic, useTopicEffect, useTypingIndicator };
}

/** Who is typing in an input, and how to tell that this user is. */
function typingSource(
  room: Room<any, any>,
  inputName: string,
  { timeout, stopOnEnter = false, writeOnly = false }: TypingIndicatorOptions,
  { listeners }: Framework,
) {
  const setActive = typingTeller(room, inputName, timeout);
  const inputProps = {
    [listeners.keyDown]: ({ key }: { readonly key: string }) =>
      setActive(!(stopOnEnter && key === 'Enter')),
    [listeners.blur]: () => setActive(false),
  };
  return mapped(new PresenceSource(room, { keys: [inputName], user: false }), () => ({
    active: writeOnly ? [] : typingPeers(room, inputName),
    setActive,
    inputProps,
  }));
}

/** A room with its hooks. */
export class HookRoom<
  P extends object = Presence,
  T extends object = Record<string, any>,
> extends Room<P, T> {
  readonly #hooks: ReturnType<typeof roomHooks>;

  constructor(
    core: Database,
    door: RoomsDoor,
    type: string,
    id: string,
    hooks: ReturnType<typeof roomHooks>,
  ) {
    super(core, door, type, id);
    this.#hooks = hooks;
  }

  usePresence = (opts?: PresenceOptions<P>): unknown => this.#hooks.usePresence(this, opts);

  useSyncPresence = (fields: unknown): void => this.#hooks.useSyncPresence(this, fields);

  usePublishTopic = (topic: string): ((data: any) => void) =>
    this.#hooks.usePublishTopic(this, topic);

  useTopicEffect = (
    topic: string,
    onEvent: (event: any, peer: Peer<P> | undefined) => void,
  ): void => this.#hooks.useTopicEffect(this, topic, onEvent);

  useTypingIndicator = (inputName: string, opts?: TypingIndicatorOptions): unknown =>
    this.#hooks.useTypingIndicator(this, inputName, opts);
}
