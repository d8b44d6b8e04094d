import type { RequestInit } from '../../src/http/environment.ts';
import { ReactDatabase } from '../../src/react/database.ts';
import { ServerDb, type ServerConfig } from '../../src/ssr/server-db.ts';
import type { User } from '../../src/client/user.ts';
import { Page, Stored } from '../simulation/device.ts';
import { HttpStage } from './http-stage.ts';
import { SHELF_SCHEMA } from './shelf.ts';
import { entity, Stage } from './stage.ts';

export const ADA: User = { id: entity(90), email: 'ada@example.com', refresh_token: 'token-ada' };
export const BOB: User = { id: entity(91), email: 'bob@example.com', refresh_token: 'token-bob' };

/** A stage with a second server that makes pages of the first one's data, and browsers. */
export class PageStage extends Stage {
  /** What the server that makes pages asked. */
  readonly http = new HttpStage();

  /** Keeps answers over HTTP back. */
  hold: () => Promise<void> = async () => {};

  constructor(seed?: number) {
    super(seed);
    this.http.answer = ({ json }) => ({ json: this.server.page(json.query) });
  }

  /** The data of one page. */
  pageDb(config: Partial<ServerConfig> = {}): ServerDb {
    const app = { appId: 'app', schema: SHELF_SCHEMA, server: 'http://test' };
    return new ServerDb({ ...app, ...config }, this.http.environment);
  }

  /** The client in a module that many pages share. */
  sharedDb(): ReactDatabase {
    const { environment } = new Page(this.clock, this.random, this.network, new Stored());
    return this.#open({ ...environment, isServer: true });
  }

  /** The client in a browser. */
  browserDb(stored = new Stored(), config = {}): ReactDatabase {
    const fetch = async (url: string, init: RequestInit) => {
      this.requests.push({ path: url, body: JSON.parse(String(init.body)) });
      await this.hold();
      return { status: this.answer(url).status, text: async () => '{}' };
    };
    const page = new Page(this.clock, this.random, this.network, stored, {}, fetch);
    return this.#open(page.environment, config);
  }

  #open(environment: Page['environment'], config = {}): ReactDatabase {
    const app = { appId: 'app', schema: SHELF_SCHEMA, server: 'http://test' };
    return new ReactDatabase({ ...app, ...config }, environment);
  }

  /** A device on which somebody is signed in. */
  signedIn(user: User): Stored {
    const stored = new Stored();
    stored.texts.set('tricedb:http://test/app:user', JSON.stringify(user));
    return stored;
  }
}
