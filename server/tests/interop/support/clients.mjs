// Official clients bound to the server under test.
import { createNetwork, createStorage } from './browser.mjs';
import { init as initAdmin } from '@instantdb/admin';
import { init as initCore } from '@instantdb/core';

import { until } from './wait.mjs';

let clientCount = 0;

/**
 * A core client as one browser would run it.
 *
 * at       {url} of a server or of a proxy in front of it
 * EventSource  gives the client its fallback transport, as the React packages do
 * shared   Map that outlives the client: give it to a second one to be the same browser
 * returns  {db, network, reactor, close}
 */
export function createCore(
  at,
  app,
  { schema, useDateObjects = false, shared, admin = false, EventSource } = {},
) {
  const network = createNetwork();
  const db = initCore(
    {
      appId: app.id,
      apiURI: at.url,
      websocketURI: `${at.url.replace('http', 'ws')}/runtime/session`,
      schema,
      useDateObjects,
      devtool: false,
      __extraDedupeKey: `client-${(clientCount += 1)}`,
      ...(admin ? { __adminToken: app.adminToken } : {}),
    },
    createStorage(shared),
    network.Listener,
    undefined,
    EventSource,
  );
  return { db, network, reactor: db._reactor, close: () => db.shutdown() };
}

/** The same, once the session is authenticated. */
export async function connectCore(at, app, options) {
  const core = createCore(at, app, options);
  await until(
    () => core.reactor.status === 'authenticated',
    () =>
      `init-ok; ${core.reactor.status} ${JSON.stringify(core.reactor._errorMessage ?? '')}`,
  );
  return core;
}

/**
 * An admin client; `schema` turns cardinality inference and missing-attr errors on.
 *
 * adminToken  null: none
 */
export function createAdmin(at, app, { schema, adminToken = app.adminToken } = {}) {
  return initAdmin({ appId: app.id, adminToken, apiURI: at.url, schema, disableValidation: true });
}

/** Subscribe and keep every answer: {answers, last(), unsubscribe}. */
export function watch(db, query, options) {
  const answers = [];
  const unsubscribe = db.subscribeQuery(query, (answer) => answers.push(answer), options);
  return { answers, last: () => answers.at(-1), unsubscribe };
}

/** Wait until the newest answer of `watched` passes `test`; returns it. */
export function answer(watched, test, what = 'the expected answer') {
  return until(
    () => {
      const last = watched.last();
      return last && test(last) ? last : undefined;
    },
    () =>
      `${what}; of ${watched.answers.length}: ${JSON.stringify(watched.last())?.slice(0, 600)}`,
  );
}
