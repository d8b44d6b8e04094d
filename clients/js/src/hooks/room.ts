import type { Database } from '../client/database.ts';
import type { RoomHandle, RoomsDoor } from '../client/rooms.ts';
import type { Presence } from '../rooms/presence.ts';

/** A room by its name. Hooks enter it while their component is there. */
export class Room<P extends object = Presence, T extends object = Record<string, any>> {
  readonly core: Database;
  readonly type: string;
  readonly id: string;
  /** Calls `then` after so long; returns what keeps it from being called. */
  readonly timer: (delayMs: number, then: () => void) => () => void;
  /** The room without entering it, as hooks use it. */
  readonly handle: Omit<RoomHandle<P, T>, 'leaveRoom'>;

  constructor(core: Database, door: RoomsDoor, type: string, id: string) {
    this.core = core;
    this.type = type;
    this.id = id;
    this.timer = door.timer;
    this.handle = door.room<P, T>(type, id);
  }

  /** Enters the room. Returns what leaves it. */
  join = (initialPresence?: Partial<P>): (() => void) =>
    this.core.joinRoom<P, T>(this.type, this.id, initialPresence ? { initialPresence } : {})
      .leaveRoom;
}
