import { expect, test } from 'vitest';
import { PlatformApi } from '../../src/platform/api.ts';
import type { AccessToken } from '../../src/platform/tokens.ts';
import { HttpStage, type Scripted, type Sent } from '../support/http-stage.ts';

const OVER = {
  status: 400,
  json: { type: 'record-not-found', message: 'm', hint: { 'record-type': 'oauth-access-token' } },
} as const;

/** An account whose first access token is over, and the answers to others. */
function account(answer: (sent: Sent) => Scripted) {
  const stage = new HttpStage();
  const refreshed: AccessToken[] = [];
  let given = 0;
  stage.answer = (sent) => {
    if (sent.path !== '/platform/oauth/token') return answer(sent);
    given += 1;
    return {
      json: {
        access_token: `new-${given}`,
        expires_in: 3_600,
        scopes: 'apps-read',
        token_type: 'Bearer',
      },
    };
  };
  const auth = {
    accessToken: 'old',
    refreshToken: 'refresh',
    clientId: 'client',
    clientSecret: 'secret',
    onRefresh: (token: AccessToken) => void refreshed.push(token),
  };
  return {
    stage,
    refreshed,
    api: new PlatformApi({ auth, server: 'http://x' }, stage.environment),
  };
}

const bearer = ({ headers }: Sent) => headers.authorization;

test('[J124] many calls that fail together refresh once, and are made again', async () => {
  const { stage, refreshed, api } = account((sent) =>
    bearer(sent) === 'Bearer old' ? OVER : { json: { apps: [], orgs: [] } },
  );
  await Promise.all([api.getApps(), api.getOrgs(), api.getApps()]);
  const expiresAt = new Date(stage.clock.now + 3_570_000);
  expect(refreshed).toMatchObject([{ accessToken: 'new-1', expiresAt }]);
  expect(stage.sent.filter(({ path }) => path === '/platform/oauth/token')).toMatchObject([
    {
      json: {
        grant_type: 'refresh_token',
        refresh_token: 'refresh',
        client_id: 'client',
        client_secret: 'secret',
      },
    },
  ]);
  await api.getApps();
  expect(bearer(stage.last)).toBe('Bearer new-1');
  expect(refreshed).toHaveLength(1);
});

test('[J124] a call is made again once; other errors, and other accounts, are not', async () => {
  for (const [answer, calls] of [
    [OVER, 3],
    [{ status: 401, json: { type: 'x' } }, 3],
    [{ status: 400, json: { type: 'record-expired' } }, 3],
    [{ status: 400, json: { type: 'record-not-found', hint: { 'record-type': 'app' } } }, 1],
    [{ status: 400, json: { type: 'record-not-found', hint: null } }, 1],
    [{ status: 500, text: 'x' }, 1],
  ] as const) {
    const { stage, api } = account(() => answer);
    await expect(api.getApps()).rejects.toThrow();
    expect(stage.sent).toHaveLength(calls);
  }
  const stage = new HttpStage();
  stage.answer = () => OVER;
  const plain = new PlatformApi({ auth: { token: 'per_x' } }, stage.environment);
  await expect(plain.getApps()).rejects.toMatchObject({ code: 'record-not-found' });
  expect(stage.sent).toHaveLength(1);
  const nobody = new PlatformApi({}, stage.environment);
  await expect(nobody.getApp('x')).rejects.toMatchObject({ code: 'auth-missing' });
  expect(stage.sent).toHaveLength(1);
});

test('[J123] what is asked for is said, and what was given stays as it was', async () => {
  const row = { id: 'a', title: 't', created_at: '2026-01-01T00:00:00Z', 'admin-token': 's' };
  const { stage, api } = account(() => ({ json: { app: row, apps: [row] } }));
  const { apps } = await api.getApps({ includePerms: true, includeSchema: true });
  expect(stage.last.params).toEqual({ include: 'perms,schema' });
  expect(apps[0]).toMatchObject({ id: 'a', orgId: null, createdAt: new Date('2026-01-01') });
  await api.getAppsForOrg('o/x');
  expect(stage.last.path).toBe('/superadmin/orgs/o%2Fx/apps');
  expect(stage.last.params).toEqual({});
  const { app } = await api.createApp(Object.freeze({ title: 't', orgId: 'o' }));
  expect(stage.last.json).toEqual({ title: 't', org_id: 'o' });
  expect(app.adminToken).toBe('s');
});
