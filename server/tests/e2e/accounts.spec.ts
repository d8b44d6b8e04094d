import { type Page } from '@playwright/test';
import { examine } from './examine';
import { enter, expect, test } from './fixtures';
import { Server } from './server';

const EMAIL = 'ann@example.com';

async function ask(server: Server, method: string, path: string, body?: object, token?: string) {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
  const response = await fetch(server.url + path, {
    method,
    headers,
    body: body && JSON.stringify(body),
  });
  return response.json();
}

const signedIn = (page: Page) => page.getByText(`You are signed in as ${EMAIL}.`);

test('[AC53] the link of the first start makes an account, which gets a token', async ({
  page,
  ownServer,
}) => {
  const link = await ownServer.told(/make the first one: (\S+)/);
  await page.goto(link);
  await examine(page);
  await enter(page, 'Your e-mail address', EMAIL);
  await expect(signedIn(page)).toBeVisible();
  expect(page.url()).not.toContain('first=');
  await enter(page, 'Name of a new access token', 'laptop');
  await expect(page.getByText('it is not shown again')).toBeVisible();
  await examine(page);
  const token = await page.locator('#token').innerText();
  const me = await ask(ownServer, 'GET', '/dash/me', undefined, token);
  expect(me.user.email).toBe(EMAIL);
  await enter(page, 'New password', 'correct horse battery');
  await expect(page.getByText('It is set.')).toBeVisible();
  await page.reload();
  await expect(signedIn(page)).toBeVisible();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('E-mail address', { exact: true }).fill(EMAIL);
  await enter(page, 'Password, if you have one', 'correct horse battery');
  await expect(signedIn(page)).toBeVisible();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByLabel('E-mail address', { exact: true })).toBeVisible();
  await page.goto(link);
  await enter(page, 'Your e-mail address', 'eve@example.com');
  await expect(page.getByRole('alert')).toContainText('There is an account already');
});

test('[AC51] a person signs in with a code and lets a command line in, or not', async ({
  page,
  ownServer,
}) => {
  const link = await ownServer.told(/make the first one: (\S+)/);
  const secret = new URL(link).searchParams.get('first');
  await ask(ownServer, 'POST', '/dash/first-account', { secret, email: EMAIL });
  const login = await ask(ownServer, 'POST', '/dash/cli/auth/register');
  await page.goto(`${ownServer.url}/dash?ticket=${login.ticket}`);
  await examine(page);
  await enter(page, 'E-mail address', EMAIL);
  await expect(page.getByText(`If ${EMAIL} has an account here`)).toBeVisible();
  await enter(page, 'Code', '12345x');
  await expect(page.getByRole('alert')).toContainText('The code is wrong');
  await enter(page, 'Code', await ownServer.told(/subject='?(\d{6}) is your code/));
  await expect(page.getByText(`asks to sign in as ${EMAIL}`)).toBeVisible();
  await examine(page);
  await page.getByRole('button', { name: 'Allow' }).click();
  await expect(page.getByText('The command line is signed in')).toBeVisible();
  const checked = await ask(ownServer, 'POST', '/dash/cli/auth/check', { secret: login.secret });
  expect(checked.email).toBe(EMAIL);

  const other = await ask(ownServer, 'POST', '/dash/cli/auth/register');
  await page.goto(`${ownServer.url}/dash?ticket=${other.ticket}`);
  await page.getByRole('button', { name: 'Refuse' }).click();
  await expect(page.getByText('The sign-in was refused')).toBeVisible();
  const refused = await ask(ownServer, 'POST', '/dash/cli/auth/check', { secret: other.secret });
  expect(refused.hint.errors[0].issue).toBe('user-voided-request');
});

test('[AC57] [AC120] who is invited signs up and accepts on the page', async ({ page }) => {
  const server = await Server.start({ TRICE_REGISTRATION: 'invited' });
  const link = await server.told(/make the first one: (\S+)/);
  const secret = new URL(link).searchParams.get('first');
  const { token } = await ask(server, 'POST', '/dash/first-account', { secret, email: EMAIL });
  const { org } = await ask(server, 'POST', '/dash/orgs', { title: 'Bakery' }, token);
  const invitation = { 'invitee-email': 'bob@example.com', role: 'collaborator' };
  await ask(server, 'POST', `/dash/orgs/${org.id}/invite/send`, invitation, token);
  await page.goto(`${server.url}/dash`);
  await enter(page, 'E-mail address', 'bob@example.com');
  await enter(page, 'Code', await server.told(/subject='?(\d{6}) is your code/));
  await expect(page.getByText('Bakery, as collaborator')).toBeVisible();
  await examine(page);
  await page.getByRole('button', { name: 'Accept: Bakery' }).click();
  await expect(page.getByText('You are invited to')).toBeHidden();
  const { members } = await ask(server, 'GET', `/dash/orgs/${org.id}`, undefined, token);
  expect(members.map((member: { email: string }) => member.email)).toContain('bob@example.com');

  const { app } = await ask(server, 'POST', '/superadmin/apps', { title: 'Shop' }, token);
  const offer = { dest_email: 'bob@example.com' };
  await ask(server, 'POST', `/superadmin/apps/${app.id}/transfers/send`, offer, token);
  await page.reload();
  await expect(page.getByText(`take over the app Shop of ${EMAIL}`)).toBeVisible();
  await page.getByRole('button', { name: 'Accept: Shop' }).click();
  await expect(page.getByText('You are invited to')).toBeHidden();
  expect((await ask(server, 'GET', '/dash', undefined, token)).apps).toEqual([]);
  await server.remove();
});
