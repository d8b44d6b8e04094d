import type { User } from '../client/user.ts';
import type { Asked, Requests } from '../http/requests.ts';
import { type Credentials, headersOf } from './credentials.ts';

/** One who is in a room. */
export interface Peer {
  readonly data: Readonly<Record<string, unknown>>;
  readonly 'peer-id': string;
  readonly user: Omit<User, 'refresh_token'> | null;
}

/** Rooms of the app, for its own server. Rules are not asked. */
export class AdminRooms {
  readonly #requests: Requests;
  readonly #credentials: Credentials;

  constructor(requests: Requests, credentials: Credentials) {
    this.#requests = requests;
    this.#credentials = { ...credentials, impersonated: undefined };
  }

  /** Who is in a room, by peer id. */
  getPresence = async (roomType: string, roomId: string): Promise<Record<string, Peer>> => {
    const answer = await this.#ask<{ sessions: Record<string, Peer> | null }>({
      method: 'GET',
      path: '/admin/rooms/presence',
      params: { 'room-type': roomType, 'room-id': roomId },
    });
    return answer.sessions ?? {};
  };

  /**
   * Shows a member that stands for a service, until `ttlS` seconds have passed without another such
   * call (the server's own bounds hold for them), or until it is removed.
   */
  setPresence = async (
    roomType: string,
    roomId: string,
    member: { readonly peerId: string; readonly data?: object; readonly ttlS?: number },
  ): Promise<void> => {
    const { peerId, data = {}, ttlS } = member;
    const json = {
      ...{ 'room-type': roomType, 'room-id': roomId, 'peer-id': peerId, data },
      ...(ttlS === undefined ? {} : { 'ttl-s': ttlS }),
    };
    await this.#ask({ method: 'POST', path: '/admin/rooms/presence', json });
  };

  /** Removes such a member, if it is there. */
  removePresence = async (roomType: string, roomId: string, peerId: string): Promise<void> => {
    const params = { 'room-type': roomType, 'room-id': roomId, 'peer-id': peerId };
    await this.#ask({ method: 'DELETE', path: '/admin/rooms/presence', params });
  };

  /** Sends a message to all in a room. `peerId`: the member that it comes from. */
  publishTopic = async (
    roomType: string,
    roomId: string,
    message: { readonly topic: string; readonly data?: object; readonly peerId?: string },
  ): Promise<void> => {
    const { topic, data = {}, peerId } = message;
    const json = {
      ...{ 'room-type': roomType, 'room-id': roomId, topic, data },
      ...(peerId === undefined ? {} : { 'peer-id': peerId }),
    };
    await this.#ask({ method: 'POST', path: '/admin/rooms/broadcast', json });
  };

  async #ask<T>(asked: Asked): Promise<T> {
    return this.#requests.json<T>({ ...asked, headers: headersOf(this.#credentials) });
  }
}
