// An app with a small library, two readers, and rules that each test chooses.
import { i, id } from '@instantdb/core';

import { connectCore, createAdmin } from './clients.mjs';
import { saveRules } from './outside.mjs';
import { serialisedSchema } from './schema.mjs';
import { createApp } from './server.mjs';
import { until } from './wait.mjs';

export const schema = i.schema({
  entities: {
    $users: i.entity({
      email: i.string().unique().indexed().optional(),
      role: i.string().optional(),
      nickname: i.string().optional(),
    }),
    books: i.entity({
      title: i.string().indexed().optional(),
      isbn: i.string().unique().indexed().optional(),
      year: i.number().indexed().optional(),
      price: i.number().indexed().optional(),
      note: i.string().optional(),
      isPublic: i.boolean().indexed().optional(),
    }),
    shelves: i.entity({
      name: i.string().unique().indexed().optional(),
      room: i.string().optional(),
    }),
    logs: i.entity({ line: i.string().optional() }),
  },
  links: {
    booksOwner: {
      forward: { on: 'books', has: 'one', label: 'owner' },
      reverse: { on: '$users', has: 'many', label: 'books' },
    },
    booksShelf: {
      forward: { on: 'books', has: 'one', label: 'shelf', onDelete: 'cascade' },
      reverse: { on: 'shelves', has: 'many', label: 'books' },
    },
  },
});

export const ANN = 'ann@example.com';
export const BOB = 'bob@example.com';

/**
 * A new app. `admin` is without rules; `ann`, `bob` and `guest` are judged.
 *
 * rules      what is in force
 * returns    {app, admin, ann, bob, guest, ids: {ann, bob}, use(rules), connect(email?), add(…)}
 */
export async function createRuledApp(server, rules = null) {
  const app = await createApp(server, { schema: serialisedSchema(schema) });
  const admin = createAdmin(server, app, { schema });
  const tokens = {};
  const ids = {};
  for (const [name, email] of [
    ['ann', ANN],
    ['bob', BOB],
  ]) {
    tokens[email] = await admin.auth.createToken({ email });
    ids[name] = (await admin.auth.getUser({ email })).id;
  }
  if (rules !== null) await saveRules(server, app, rules);
  return {
    app,
    admin,
    ids,
    tokens,
    ann: admin.asUser({ email: ANN }),
    bob: admin.asUser({ email: BOB }),
    guest: admin.asUser({ guest: true }),
    use: (code) => saveRules(server, app, code),
    /** A core client, signed in if an address is given. */
    async connect(email) {
      const core = await connectCore(server, app, { schema });
      if (email === undefined) return core;
      const { _transport: before } = core.reactor;
      await core.db.auth.signInWithToken(tokens[email]);
      await until(
        () => core.reactor._transport !== before && core.reactor.status === 'authenticated',
        'the connection of the user',
      );
      return core;
    },
    /** Write an entity past all rules; returns its id. */
    async add(etype, fields = {}, links = {}) {
      const made = id();
      await admin.transact(admin.tx[etype][made].update(fields).link(links));
      return made;
    },
  };
}

/** What the promise of a write came to: "ok", or the type of its error. */
export async function outcome(promise) {
  try {
    await promise;
    return 'ok';
  } catch (error) {
    return error.body?.type ?? error.type ?? error.message;
  }
}
