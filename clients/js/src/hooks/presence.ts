import type { Peer, Presence, PresenceOptions, PresenceState } from '../rooms/presence.ts';
import { isEqual } from '../values/equal.ts';
import type { Room } from './room.ts';
import type { Source } from './sources.ts';

/** What the members show, and how to change what this one shows. */
export type PresenceHandle<P extends object = Presence> = PresenceState<P> & {
  /** Shows some fields to the others, and keeps those shown before. */
  readonly publishPresence: (fields: Partial<P>) => void;
};

/** How a user's typing is told. */
export interface TypingIndicatorOptions {
  /** After so long without a key the user is typing no more; null or 0: never. 1,000 ms. */
  readonly timeout?: number | null;
  /** Enter ends the typing. */
  readonly stopOnEnter?: boolean;
  /** Only tells the others; `active` stays empty. */
  readonly writeOnly?: boolean;
}

const TYPING_MS = 1_000;

/** What is shown of a room before anything is known of it. */
export const NO_PRESENCE: PresenceState<any> = Object.freeze({
  peers: Object.freeze({}),
  isLoading: true,
  isStale: false,
});

/** What a component sees of a room. Who watches it is in the room. */
export class PresenceSource<P extends object, T extends object> implements Source<
  PresenceState<P>
> {
  readonly publish: (fields: Partial<P>) => void;
  readonly #room: Room<P, T>;
  readonly #options: PresenceOptions<P>;
  #state: PresenceState<P>;

  constructor(room: Room<P, T>, options: PresenceOptions<P>) {
    this.#room = room;
    this.#options = options;
    this.publish = room.handle.publishPresence;
    this.#state = room.handle.getPresence(options) ?? NO_PRESENCE;
  }

  get = (): PresenceState<P> => this.#state;

  subscribe = (tell: () => void): (() => void) => {
    let isFirst = true;
    return this.#room.handle.subscribePresence(this.#options, (state) => {
      // The first state is often what was shown already.
      const isShown = isFirst && isEqual(state, this.#state);
      isFirst = false;
      if (isShown) return;
      this.#state = state;
      tell();
    });
  };
}

/** The others who are typing in an input of a room now. */
export function typingPeers<P extends object>(
  room: Room<P, any>,
  inputName: string,
): readonly Peer<P>[] {
  const all: Readonly<Record<string, Peer<P>>> = room.handle.getPresence()?.peers ?? {};
  return Object.values(all).filter((peer) => peer[inputName as keyof P] === true);
}

/** Tells the others whether the user is typing in an input; after a while, that it is over. */
export function typingTeller<P extends object>(
  room: Room<P, any>,
  inputName: string,
  timeout: number | null | undefined,
): (isActive: boolean) => void {
  let cancel = () => {};
  const publish = (value: boolean | null) =>
    room.handle.publishPresence({ [inputName]: value } as Partial<P>);
  return (isActive) => {
    cancel();
    publish(isActive);
    if (isActive && timeout !== null && timeout !== 0)
      cancel = room.timer(timeout ?? TYPING_MS, () => publish(null));
  };
}
