import type { SchemaShape } from '../schema/shape.ts';
import type { Addresses } from '../session/connection.ts';

/** What `init` takes. */
export interface Config {
  /** The id of the app. */
  readonly appId: string;
  /** The address of the server, such as `https://data.example.org`. */
  readonly server?: string;
  /** The same in the words of the original's client. */
  readonly apiURI?: string;
  readonly websocketURI?: string;
  /** Options of the original's client that have no meaning here: they are taken and do nothing. */
  readonly devtool?: boolean | object;
  readonly verbose?: boolean;
  readonly logger?: object;
  readonly queryCacheLimit?: number;
  readonly disableValidation?: boolean;
  /** What `i.schema` made: names are checked, and attrs are made by it. */
  readonly schema?: SchemaShape;
  /**
   * Shows what is known here of a query until the server answers, with `isComplete` false; without
   * it only while the server cannot be reached.
   */
  readonly partial?: boolean;
  /**
   * In browsers the tabs of a user share one connection and one queue of writes; false: this tab
   * connects by itself.
   */
  readonly tabs?: boolean;
  /**
   * A path of the app's own server, such as `/api/trice`, that is told who is signed in: it keeps
   * that in a cookie, and makes pages by it (`createRouteHandler` of `tricedb/ssr`).
   */
  readonly firstPartyPath?: string;
  /** The app's own token, for programs on a server: no rule is asked. Never in a browser. */
  readonly __adminToken?: string;
}

/** Where the transports of a server listen. */
export function addressesOf({ appId, websocketURI }: Config, origin: string): Addresses {
  const address = websocketURI ?? `${origin.replace(/^http/, 'ws')}/runtime/session`;
  return {
    websocket: `${address}?app_id=${appId}`,
    events: `${origin}/runtime/sse?app_id=${appId}`,
  };
}
