// `debugQuery` and `debugTransact` of the official admin client.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import './support/browser.mjs';
import { id } from '@instantdb/admin';
import { createAdmin } from './support/clients.mjs';
import { createApp, startServer } from './support/server.mjs';
import { rejection } from './support/wait.mjs';

const rules = {
  notes: {
    bind: ['isMine', 'auth.id == data.owner'],
    allow: { view: 'isMine || ruleParams.key == data.key', update: 'isMine' },
    fields: { secret: 'isMine' },
  },
};

let server;
let db;
let note;
let ann;

before(async () => {
  server = await startServer();
  const app = await createApp(server, { rules: { code: rules } });
  db = createAdmin(server, app);
  [note, ann] = [id(), id()];
  await db.transact([
    db.tx.$users[ann].update({ email: 'ann@example.com' }),
    db.tx.notes[note].update({ title: 'mine', owner: ann, key: 'k', secret: 's' }),
  ]);
});
after(() => server?.stop());

describe('debugging rules', () => {
  test('[R162] debugQuery tells the answer and every check', async () => {
    const mine = await db.asUser({ email: 'ann@example.com' }).debugQuery({ notes: {} });
    assert.equal(mine.result.notes[0].secret, 's');
    assert.deepEqual(
      mine.checkResults.map((check) => [check.entity, check.id, check.label ?? null, check.check]),
      [
        ['notes', note, null, true],
        ['notes', note, 'secret', true],
      ],
    );
    assert.equal(mine.checkResults[0].record.title, 'mine');
    assert.equal(mine.checkResults[0].program['display-code'], rules.notes.allow.view);

    const guest = db.asUser({ guest: true });
    const hidden = await guest.debugQuery({ notes: {} });
    assert.deepEqual(hidden.result, { notes: [] });
    assert.equal(hidden.checkResults[0].check, false);
    const known = await guest.debugQuery({ notes: {} }, { ruleParams: { key: 'k' } });
    assert.equal(known.result.notes[0].title, 'mine');
    assert.equal('secret' in known.result.notes[0], false);
    const open = { notes: { allow: { view: 'request.ip == "1.2.3.4"' } } };
    const other = await guest.debugQuery({ notes: {} }, { rules: open, ip: '1.2.3.4' });
    assert.equal(other.result.notes.length, 1);
  });

  test('[R162] debugTransact tells every check and writes nothing', async () => {
    const rename = db.tx.notes[note].update({ title: 'renamed' });
    const denied = await db.asUser({ guest: true }).debugTransact(rename);
    assert.equal(denied['all-checks-ok?'], false);
    assert.equal(denied['committed?'], false);
    const [check] = denied['check-results'];
    assert.equal(check['check-pass?'], false);
    assert.equal(check.program.action, 'update');
    assert.equal(check.explanation.rule, 'notes.allow.update');

    const ok = await db.asUser({ email: 'ann@example.com' }).debugTransact(rename);
    assert.equal(ok['all-checks-ok?'], true);
    assert.equal(ok['committed?'], false);
    const { notes } = await db.query({ notes: {} });
    assert.equal(notes[0].title, 'mine');
  });

  test('[R163] the admin must act as somebody', async () => {
    const failure = await rejection(db.debugQuery({ notes: {} }));
    assert.equal(failure.body.type, 'validation-failed');
    assert.match(failure.body.message, /Cannot test perms as admin/);
  });
});
