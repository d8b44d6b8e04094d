import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import {
  NO_PRESENCE,
  type PresenceHandle,
  PresenceSource,
  type TypingIndicatorOptions,
  typingPeers,
  typingTeller,
} from '../hooks/presence.ts';
import type { Peer, Presence, PresenceOptions } from '../rooms/presence.ts';
import type { ReactRoom } from './room.ts';

export type { PresenceHandle, TypingIndicatorOptions };

/** Who is typing in an input, and how to tell that this user is. */
export interface TypingIndicator<P extends object = Presence> {
  /** The others who are typing. */
  readonly active: readonly Peer<P>[];
  /** Tells the others that the user is typing, or is no more. */
  readonly setActive: (isActive: boolean) => void;
  /** For the input: `<input {...inputProps} />`. */
  readonly inputProps: {
    /** The user is typing, or with Enter perhaps no more. */
    readonly onKeyDown: (event: { readonly key: string }) => void;
    /** The user is typing no more. */
    readonly onBlur: () => void;
  };
}

const getLoading = () => NO_PRESENCE;

/**
 * What the members of a room show, live; the room is entered while the component is there. The
 * component renders again when what it asked for changed.
 */
export function usePresence<P extends object, T extends object>(
  room: ReactRoom<P, T>,
  opts: PresenceOptions<P> = {},
): PresenceHandle<P> {
  const { user, peers, keys } = opts;
  const box = useMemo(
    () => new PresenceSource(room, opts),
    // The options are new objects at each render; these are what they mean.
    [room.core, room.type, room.id, user, JSON.stringify([peers, keys])],
  );
  const state = useSyncExternalStore(box.subscribe, box.get, getLoading);
  return useMemo(
    () => ({ ...state, publishPresence: box.publish }) as PresenceHandle<P>,
    [state, box],
  );
}

/** Shows some fields to the others while the component is there, and again when they change. */
export function useSyncPresence<P extends object, T extends object>(
  room: ReactRoom<P, T>,
  fields: Partial<P>,
  deps?: readonly unknown[],
): void {
  const place = [room.core, room.type, room.id];
  useEffect(() => room.join(fields), place);
  useEffect(
    () => room.handle.publishPresence(fields),
    [...place, ...(deps ?? [JSON.stringify(fields)])],
  );
}

/** Tells the others things; the room is entered while the component is there. */
export function usePublishTopic<P extends object, T extends object, K extends keyof T & string>(
  room: ReactRoom<P, T>,
  topic: K,
): (data: T[K]) => void {
  const place = [room.core, room.type, room.id];
  useEffect(() => room.join(), place);
  return useCallback((data: T[K]) => room.handle.publishTopic(topic, data), [...place, topic]);
}

/** Calls `onEvent`, the one of the newest render, with each message of the others. */
export function useTopicEffect<P extends object, T extends object, K extends keyof T & string>(
  room: ReactRoom<P, T>,
  topic: K,
  onEvent: (event: T[K], peer: Peer<P> | undefined) => void,
): void {
  const newest = useRef(onEvent);
  useEffect(() => {
    newest.current = onEvent;
  });
  useEffect(
    () => room.handle.subscribeTopic(topic, (event, peer) => newest.current(event, peer)),
    [room.core, room.type, room.id, topic],
  );
}

/** Tells the others that the user is typing in an input, and who of them is. */
export function useTypingIndicator<P extends object, T extends object>(
  room: ReactRoom<P, T>,
  inputName: string,
  opts: TypingIndicatorOptions = {},
): TypingIndicator<P> {
  const { timeout, stopOnEnter = false, writeOnly = false } = opts;
  const place = [room.core, room.type, room.id, inputName];
  const { peers } = usePresence(room, { keys: [inputName as keyof P & string], user: false });
  const active = useMemo(
    () => (writeOnly ? [] : typingPeers(room, inputName)),
    [writeOnly, peers, ...place],
  );
  const setActive = useMemo(() => typingTeller(room, inputName, timeout), [timeout, ...place]);
  const inputProps = useMemo(
    () => ({
      onKeyDown: ({ key }: { readonly key: string }) =>
        setActive(!(stopOnEnter && key === 'Enter')),
      onBlur: () => setActive(false),
    }),
    [setActive, stopOnEnter],
  );
  return { active, setActive, inputProps };
}
