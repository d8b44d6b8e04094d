import { type Page } from '@playwright/test';
import { readFile } from 'node:fs/promises';
import { createServer, type Server as Site } from 'node:http';
import { type AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { examine } from './examine';
import { enter, expect, test } from './fixtures';
import { Server } from './server';

const EMAIL = 'ann@example.com';
const SDK = resolve(
  import.meta.dirname,
  '../../../node_modules/@instantdb/platform/dist/standalone/index.js',
);

async function ask(server: Server, path: string, body: object, token?: string) {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
  const init = { method: 'POST', headers, body: JSON.stringify(body) };
  return (await fetch(server.url + path, init)).json();
}

/** An OAuth app of ann's; returns its client's id. */
async function makeClient(server: Server, url: string): Promise<string> {
  const secret = new URL(await server.told(/make the first one: (\S+)/)).searchParams.get('first');
  const { token } = await ask(server, '/dash/first-account', { secret, email: EMAIL });
  const { app } = await ask(server, '/superadmin/apps', { title: 'shop' }, token);
  const said = {
    app_name: 'The shop of Ann',
    app_home_page: url,
    support_email: EMAIL,
    app_logo: 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7',
  };
  const path = `/dash/apps/${app.id}/oauth-apps`;
  const made = await ask(server, path, said, token);
  const wanted = { client_name: 'web', authorized_redirect_urls: [`${url}/back`] };
  return (await ask(server, `${path}/${made.app.id}/clients`, wanted, token)).client.clientId;
}

/** A site on a port of its own that uses the official package, and its address. */
async function openShop(page: Page, server: Server): Promise<{ site: Site; url: string }> {
  const sdk = await readFile(SDK, 'utf8');
  let config = '';
  const html = (script: string) => `<!doctype html><button>Connect</button><p id="told"></p>
    <script type="module">
      import { OAuthHandler, PlatformApi } from '/sdk.js';
      const handler = new OAuthHandler(${config});
      ${script}</script>`;
  const start = `
    const told = document.getElementById('told');
    document.querySelector('button').addEventListener('click', async () => {
      try {
        const { token } = await handler.startClientOnlyFlow(['apps-read', 'data-read']);
        const api = new PlatformApi({ auth: { token }, apiURI: '${server.url}' });
        const { apps } = await api.getApps();
        told.textContent = 'Apps: ' + apps.map((app) => app.title).join();
      } catch (failure) { told.textContent = 'Failed: ' + failure.error; }
    });`;
  const site = createServer(({ url }, answer) => {
    const isScript = url === '/sdk.js';
    answer.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    answer.end(isScript ? sdk : html(url === '/' ? start : 'handler.handleClientRedirect();'));
  });
  await new Promise<void>((ready) => site.listen(0, '127.0.0.1', ready));
  const { port } = site.address() as AddressInfo;
  const url = `http://localhost:${port}`;
  const clientId = await makeClient(server, url);
  config = JSON.stringify({ clientId, redirectUri: `${url}/back`, apiURI: server.url });
  await page.goto(url);
  return { site, url };
}

/**
 * Press the button of the shop, and sign in in the window that it opens.
 *
 * nth  which code of those that were mailed, from 1: it is mailed after the page says so
 */
async function connect(shop: Page, server: Server, nth: number): Promise<Page> {
  const opened = shop.waitForEvent('popup');
  await shop.getByRole('button', { name: 'Connect' }).click();
  const popup = await opened;
  await enter(popup, 'E-mail address', EMAIL);
  await expect(popup.getByText(`If ${EMAIL} has an account here`)).toBeVisible();
  const code = new RegExp(`(?:subject='?(\\d{6}) is your code[^]*?){${nth}}`); // the nth one
  await enter(popup, 'Code', await server.told(code));
  await expect(popup.getByText('The application The shop of Ann asks to act')).toBeVisible();
  return popup;
}

test('[AC111] [AC98] the popup of OAuthHandler: people allow a site, or refuse', async ({
  page,
  ownServer,
}) => {
  const { site, url } = await openShop(page, ownServer);
  const popup = await connect(page, ownServer, 1);
  await expect(popup.getByRole('listitem').first()).toContainText('See your apps');
  await expect(popup.getByText(url, { exact: true })).toBeVisible();
  expect(popup.url()).toContain('redirect-id=');
  await examine(popup);
  await popup.getByRole('button', { name: 'Allow' }).click();
  await expect(page.getByText('Apps: shop')).toBeVisible();
  await expect.poll(() => popup.isClosed()).toBe(true);

  const again = await connect(page, ownServer, 2);
  await again.getByRole('button', { name: 'Refuse' }).click();
  await expect(page.getByText('Failed: access_denied')).toBeVisible();
  site.close();
});

test('[AC94] a sign-in that cannot begin says so', async ({ page, ownServer }) => {
  await page.goto(`${ownServer.url}/platform/oauth/start?client_id=x`);
  await expect(page.getByRole('heading')).toHaveText('This sign-in cannot begin');
  await examine(page);
});
