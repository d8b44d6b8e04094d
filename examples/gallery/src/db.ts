import { init } from '@instantdb/react';
import { schema } from './schema';
import { appId, server } from './settings';

/**
 * The one connection of this page. The client is Instant's own; only the two addresses differ.
 * Its devtool is off: that is a window onto Instant's dashboard, which knows nothing of this app.
 */
export const db = init({
  appId,
  schema,
  apiURI: server,
  websocketURI: `${server.replace(/^http/, 'ws')}/runtime/session`,
  devtool: false,
});
