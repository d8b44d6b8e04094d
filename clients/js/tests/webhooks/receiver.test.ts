import { generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import { AdminDatabase } from '../../src/admin/database.ts';
import type { WebhookRecord } from '../../src/webhooks/receiver.ts';
import { HttpStage } from '../support/http-stage.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const BODY = '{"payloadUrl":"http://other/webhooks/payload/1","token":"eyJ"}';

const record = (namespace: string, action: string) =>
  ({ namespace, action, id: 'x', before: null, after: {}, idempotencyKey: 'k' }) as WebhookRecord;

const RECORDS = [record('todos', 'create'), record('todos', 'delete'), record('notes', 'update')];

function receiver() {
  const stage = new HttpStage();
  stage.answer = ({ path }) =>
    path.startsWith('/.well-known')
      ? { json: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: '7' }] } }
      : { json: { data: RECORDS, idempotencyKey: 'k' } };
  const db = new AdminDatabase({ appId: 'app', server: 'http://x' }, stage.environment);
  const nowS = stage.clock.now / 1_000;
  const headerOf = (text = BODY, t = nowS, kid = '7') =>
    `t=${t},kid=${kid},v1=${sign(null, Buffer.from(`${t}.${text}`), privateKey).toString('hex')}`;
  return { stage, db, nowS, headerOf };
}

test('[J128] a delivery that the server signed is taken, and each change handed on', async () => {
  const { stage, db, headerOf } = receiver();
  const request = () =>
    new Request('http://me/hook', {
      method: 'POST',
      body: BODY,
      headers: { 'instant-signature': headerOf() },
    });
  const heard: string[] = [];
  const hear = (who: string) => (one: WebhookRecord) =>
    void heard.push(`${who}: ${one.namespace} ${one.action}`);
  const handlers = {
    todos: { create: hear('create'), $default: hear('todos') },
    $default: hear('rest'),
  };
  await db.webhooks.processRequest(handlers, request());
  expect(heard).toEqual(['create: todos create', 'todos: todos delete', 'rest: notes update']);
  expect(stage.last.headers.authorization).toBe('Bearer eyJ');
  expect(stage.sent.map(({ path }) => path)).toEqual([
    '/.well-known/webhooks/jwks.json',
    '/webhooks/payload/1',
  ]);
  // The key is known now. What nobody handles is let pass; what fails is told.
  await db.webhooks.processRequest({ todos: { create: hear('again') } }, request());
  expect(stage.sent).toHaveLength(3);
  const fails = async () => {
    throw new Error('mine');
  };
  await expect(db.webhooks.processRequest({ $default: fails }, request())).rejects.toThrow('mine');
});

test('[J128] a delivery that is forged, changed, old or unsigned is refused', async () => {
  const { stage, db, nowS, headerOf } = receiver();
  const { validate, validateRequest } = db.webhooks;
  expect(await validate(headerOf(), BODY)).toMatchObject({ token: 'eyJ' });
  const other = generateKeyPairSync('ed25519').privateKey;
  const forged = sign(null, Buffer.from(`${nowS}.${BODY}`), other).toString('hex');
  for (const [header, body] of [
    [headerOf(), `${BODY} `],
    [headerOf(BODY, nowS).replace(`t=${nowS}`, `t=${nowS + 1}`), BODY],
    [headerOf(BODY, nowS - 301), BODY],
    [headerOf(BODY, nowS + 301), BODY],
    [headerOf(BODY, nowS, '8'), BODY],
    [`t=${nowS},kid=7,v1=${forged}`, BODY],
    [`t=${nowS},kid=7,v1=xyz`, BODY],
    [`t=soon,kid=7,v1=${forged}`, BODY],
    [`t=${nowS},v1=${forged}`, BODY],
    ['', BODY],
    [headerOf('{}'), '{}'],
  ] as const)
    await expect(validate(header, body)).rejects.toMatchObject({ code: 'signature-invalid' });
  const bare = new Request('http://me', { method: 'POST', body: BODY });
  await expect(validateRequest(bare)).rejects.toMatchObject({ code: 'signature-invalid' });
  const receivedAt = new Date(stage.clock.now + 1_000_000);
  await expect(validate(headerOf(), BODY, { receivedAt })).rejects.toThrow();
  const late = { receivedAt, tolerance: 1_000 };
  expect(await validate(headerOf(), BODY, late)).toMatchObject({ token: 'eyJ' });
});
