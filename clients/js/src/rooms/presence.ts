/** What the members of a room show each other: edits of it, and the view an app asked for. */
import type { TriceError } from '../errors.ts';
import { isEqual } from '../values/equal.ts';
import { isObject } from '../values/json.ts';

/** What one member shows: a JSON object. */
export type Presence = Readonly<Record<string, any>>;

/** Another member of a room, with what it shows. */
export type Peer<P extends object = Presence> = P & { readonly peerId: string };

/** What of a room's presence an app wants to see. */
export interface PresenceOptions<P extends object = Presence> {
  /** Whether `user`, the client's own presence, is wanted too. It is if nothing is said. */
  readonly user?: boolean | undefined;
  /** Ids of the peers that are wanted; nothing said: all. */
  readonly peers?: readonly string[] | undefined;
  /** Fields that are wanted; nothing said: all. */
  readonly keys?: readonly (keyof P & string)[] | undefined;
  /** What is shown at first, if nothing was shown in this room yet. */
  readonly initialPresence?: Partial<P> | undefined;
}

/** What is shown in a room. */
export interface PresenceState<P extends object = Presence> {
  /** What this client shows. */
  readonly user?: Peer<P>;
  /** What the others show, by their session's id. */
  readonly peers: Readonly<Record<string, Peer<P>>>;
  /** Nothing is known of the others yet. */
  readonly isLoading: boolean;
  /** The connection is lost: these are the peers of a moment ago. */
  readonly isStale: boolean;
  /** Why the room cannot be entered, or why the last change or message was refused. */
  readonly error?: TriceError;
}

/** The members of a room by session id, each as the server tells it: `{data, user, …}`. */
export type Members = Map<string, unknown>;

/**
 * Applies the edits of `patch-presence`: `[path, '+' | 'r' | '-', value]`, in order.
 *
 * The original's client removes every object that a removal empties; nothing is removed here but
 * what is named, so a member that shows nothing any more stays.
 */
export function applyEdits(members: Members, edits: readonly unknown[]): void {
  for (const edit of edits) {
    if (!Array.isArray(edit) || !Array.isArray(edit[0]) || edit[0].length === 0) continue;
    const [[id, ...path], op, value] = edit as [[string, ...(string | number)[]], string, unknown];
    if (path.length > 0) {
      if (op === '-' && !members.has(id)) continue;
      members.set(id, edited(members.get(id), path, op, value));
    } else if (op === '-') members.delete(id);
    else members.set(id, value);
  }
}

/** A value with one edit applied; what the edit does not touch is the same object. */
function edited(
  value: unknown,
  path: readonly (string | number)[],
  op: string,
  given: unknown,
): unknown {
  const [key, ...rest] = path as [string | number, ...(string | number)[]];
  if (Array.isArray(value)) {
    const copy: unknown[] = [...value];
    const place = Number(key);
    if (rest.length > 0) copy[place] = edited(copy[place], rest, op, given);
    else if (op === '-') copy.splice(place, 1);
    else copy.splice(place, op === '+' ? 0 : 1, given);
    return copy;
  }
  const object = isObject(value) ? value : {};
  if (op === '-' && !Object.hasOwn(object, key)) return value;
  if (rest.length > 0) return { ...object, [key]: edited(object[key], rest, op, given) };
  if (op !== '-') return { ...object, [key]: given };
  const { [key]: _, ...others } = object;
  return others;
}

/** What a member shows. */
export function presenceOf(member: unknown): Presence {
  return isObject(member) && isObject(member.data) ? member.data : NOTHING;
}

const NOTHING: Presence = Object.freeze({});

/** What a view is made of. */
export interface RoomContent {
  readonly own: Presence | undefined;
  readonly members: Members;
  readonly sessionId: string | null;
  readonly isLoading: boolean;
  readonly isStale: boolean;
  readonly error: TriceError | undefined;
}

/** A room as one observer asked to see it. What did not change is the same object as before. */
export class PresenceView {
  readonly #options: PresenceOptions;
  #last: PresenceState | null = null;
  /** What was made of what a member showed: members that did not change cost nothing. */
  readonly #made = new WeakMap<Presence, Peer>();

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** What to show now: the same object as before while nothing in it changed. */
  of(content: RoomContent): PresenceState {
    const { own, members, sessionId, isLoading, isStale, error } = content;
    const { user: wantsUser = true, peers: wanted } = this.#options;
    const before = this.#last;
    const peers: Record<string, Peer> = {};
    for (const [id, member] of members) {
      if (id === sessionId || (wanted && !wanted.includes(id))) continue;
      peers[id] = this.#peer(id, presenceOf(member), before?.peers[id]);
    }
    const state: PresenceState = Object.freeze({
      ...(wantsUser ? { user: this.#peer(sessionId ?? '', own ?? NOTHING, before?.user) } : {}),
      peers: before && hasSame(before.peers, peers) ? before.peers : Object.freeze(peers),
      isLoading,
      isStale,
      ...(error ? { error } : {}),
    });
    if (before === null || !hasSame(before, state)) this.#last = state;
    return this.#last!;
  }

  #peer(id: string, presence: Presence, before: Peer | undefined): Peer {
    // Of one presence there may be two peers: several members show nothing.
    const known = this.#made.get(presence);
    if (known?.peerId === id) return known;
    const { keys } = this.#options;
    const shown = keys
      ? Object.fromEntries(keys.filter((key) => key in presence).map((key) => [key, presence[key]]))
      : presence;
    const peer = Object.freeze({ ...shown, peerId: id });
    const kept = before && isEqual(before, peer) ? before : peer;
    this.#made.set(presence, kept);
    return kept;
  }
}

/** Whether two objects hold the same objects under the same keys. */
function hasSame(one: object, other: object): boolean {
  const keys = Object.keys(one);
  return (
    keys.length === Object.keys(other).length &&
    keys.every((key) => one[key as never] === other[key as never])
  );
}
