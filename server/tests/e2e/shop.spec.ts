import { test as base, type Browser, type Page } from '@playwright/test';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { createServer, type ViteDevServer } from 'vite';
import { examine } from './examine';
import { expect } from './fixtures';

const ROOT = resolve(import.meta.dirname, '../../..');
const SHOP = join(ROOT, 'examples/shop');
const TRICE = process.env['TRICE_COMMAND'] ?? join(ROOT, '.venv/bin/trice');
const KEY = 'secret-secret';

interface Shop {
  /** Where the page is. */
  readonly page: string;
  /** What an admin sees. */
  readonly query: (query: object) => Promise<any>;
  /** Where the app's endpoints are. */
  readonly endpoints: string;
}

/** The project as its README says: `trice dev`, something to sell, and the page. */
const test = base.extend<object, { shop: Shop }>({
  shop: [
    async ({}, use) => {
      const project = await mkdtemp(join(tmpdir(), 'trice-shop-'));
      const isSource = (path: string) =>
        !['.trice', 'build', '__pycache__'].includes(basename(path));
      await cp(SHOP, project, { recursive: true, filter: isSource });
      const dev = spawn(TRICE, ['dev', '--port', '0'], {
        cwd: project,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let vite: ViteDevServer | null = null;
      try {
        await told(dev, /In force: \d+ functions\./);
        const { server, app, token } = JSON.parse(
          await readFile(join(project, '.trice/dev.json'), 'utf8'),
        );
        const trice = async (...args: string[]) =>
          (await promisify(execFile)(TRICE, args, { cwd: project })).stdout;
        await trice('run', 'products.fill');
        await trice('env', 'set', `PAYMENT_KEY=${KEY}`);
        process.env['VITE_TRICE_SERVER'] = server;
        process.env['VITE_TRICE_APP_ID'] = app;
        vite = await createServer({
          root: SHOP,
          cacheDir: join(project, 'vite'),
          server: { port: 0 },
        });
        await vite.listen();
        const page = vite.resolvedUrls!.local[0]!;
        const query = async (query: object) => {
          const headers = {
            'app-id': app,
            authorization: `Bearer ${token}`,
            'content-type': 'application/json',
          };
          const body = JSON.stringify({ query });
          return (await fetch(`${server}/admin/query`, { method: 'POST', headers, body })).json();
        };
        await use({ page, query, endpoints: `${server}/http/${app}` });
      } finally {
        await vite?.close();
        const ended = new Promise((done) => dev.once('exit', done));
        dev.kill();
        await ended;
        await rm(project, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
      }
    },
    { scope: 'worker', timeout: 120_000 },
  ],
});

/** Wait until a process says something. */
function told(child: ChildProcess, pattern: RegExp): Promise<void> {
  return new Promise((ready, fail) => {
    let said = '';
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (bytes) => {
        said += bytes;
        if (pattern.test(said)) ready();
      });
    }
    child.once('exit', (code) => fail(new Error(`trice dev ended (${code}).\n${said}`)));
  });
}

async function arrive(browser: Browser, shop: Shop): Promise<Page> {
  const context = await browser.newContext();
  context.on('weberror', (failure) => {
    throw failure.error();
  });
  const page = await context.newPage();
  await page.goto(shop.page);
  await expect(page.getByRole('status')).toHaveText('Connected');
  return page;
}

const product = (page: Page, name: string) =>
  page.getByRole('listitem').filter({ has: page.getByRole('heading', { name, exact: true }) });

test('what one customer orders is gone for all, and a payment shows when it is told', async ({
  browser,
  shop,
}) => {
  const [alice, bob] = [await arrive(browser, shop), await arrive(browser, shop)];
  for (const page of [alice, bob]) await page.getByRole('button', { name: 'More' }).click();
  await expect(product(bob, 'Paper tape')).toContainText('2 left');
  await alice.getByRole('button', { name: 'Put Paper tape into the cart' }).click();
  await alice.getByRole('button', { name: 'One Paper tape more' }).click();
  await expect(alice.getByLabel('Quantity of Paper tape')).toHaveText('2');
  await alice.getByLabel('E-mail').fill('alice@example.com');
  await alice.getByLabel('Address').fill('1 Quay, Kiel');
  await alice.getByRole('button', { name: 'Order for' }).click();
  await expect(alice.getByText('Waits for payment')).toBeVisible();
  await expect(product(bob, 'Paper tape')).toContainText('Sold out');
  await expect(bob.getByRole('heading', { name: 'Your orders' })).toHaveCount(0);

  const [{ id, total }] = (await shop.query({ orders: {} })).orders;
  const body = JSON.stringify({ event: 'e1', order: id, amount: total });
  const signature = createHmac('sha256', KEY).update(body).digest('hex');
  const answer = await fetch(`${shop.endpoints}/payments`, {
    method: 'POST',
    headers: { 'x-signature': signature },
    body,
  });
  expect(answer.status).toBe(204);
  await expect(alice.getByText('Paid', { exact: true })).toBeVisible();
});

test('a search asks the server, and a refusal is said in its own words', async ({
  browser,
  shop,
}) => {
  const page = await arrive(browser, shop);
  await page.getByLabel('Search').fill('lamp');
  await expect(page.getByRole('heading', { level: 3 })).toHaveText(['Desk lamp']);
  await page.getByRole('button', { name: 'Put Desk lamp into the cart' }).click();
  for (let count = 1; count < 6; count++) {
    await expect(page.getByLabel('Quantity of Desk lamp')).toHaveText(String(count));
    await page.getByRole('button', { name: 'One Desk lamp more' }).click();
  }
  await page.getByLabel('E-mail').fill('carol@example.com');
  await page.getByLabel('Address').fill('2 Quay, Kiel');
  await page.getByRole('button', { name: 'Order for' }).click();
  await expect(page.getByRole('alert')).toHaveText('There are 5 of Desk lamp left.');
  await examine(page);
});
