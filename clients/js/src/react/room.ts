import { Room } from '../hooks/room.ts';
import type { Peer, Presence, PresenceOptions } from '../rooms/presence.ts';
import {
  type PresenceHandle,
  type TypingIndicator,
  type TypingIndicatorOptions,
  usePresence,
  usePublishTopic,
  useSyncPresence,
  useTopicEffect,
  useTypingIndicator,
} from './room-hooks.ts';

/** A room by its name. Hooks enter it while their component is there. */
export class ReactRoom<
  P extends object = Presence,
  T extends object = Record<string, any>,
> extends Room<P, T> {
  /** What the members show, live. */
  usePresence = (opts?: PresenceOptions<P>): PresenceHandle<P> => usePresence(this, opts);

  /** Shows some fields to the others, and again when they change. */
  useSyncPresence = (fields: Partial<P>, deps?: readonly unknown[]): void =>
    useSyncPresence(this, fields, deps);

  /** What tells the others something. */
  usePublishTopic = <K extends keyof T & string>(topic: K): ((data: T[K]) => void) =>
    usePublishTopic(this, topic);

  /** Calls `onEvent` with each message of the others. */
  useTopicEffect = <K extends keyof T & string>(
    topic: K,
    onEvent: (event: T[K], peer: Peer<P> | undefined) => void,
  ): void => useTopicEffect(this, topic, onEvent);

  /** Tells the others that the user is typing in an input, and who of them is. */
  useTypingIndicator = (inputName: string, opts?: TypingIndicatorOptions): TypingIndicator<P> =>
    useTypingIndicator(this, inputName, opts);
}
