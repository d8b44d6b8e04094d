import { expect, test as plain, type Locator, type Page } from '@playwright/test';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { build } from 'vite';
import type {} from './devtool-page';
import { schema } from '../../../examples/todo/src/schema';
import { examine } from './examine';
import { type App, Server } from './server';

const PERSON = '01a227e1-0000-7000-8000-000000000001';

/** A todo of a person may be written while their name is `gate`. */
const RULES = {
  todos: {
    bind: ['isOpen', "data.title != 'forbidden' || 'gate' in data.ref('owner.name')"],
    allow: { create: 'isOpen', update: 'isOpen' },
  },
};

const HTML = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Todos</title>
  <meta name="viewport" content="width=device-width, initial-scale=1">
    <main><h1>Todos</h1><form><label>New todo <input></label></form>
  <ul aria-label="Todos"></ul></main>
  <script type="module" src="/page.js"></script></html>`;

interface Fixtures {
  /** Opens the page of an app; `more` is the end of its address. */
  readonly open: (app: App, more?: string) => Promise<Locator>;
}

interface WorkerFixtures {
  readonly server: Server;
  /** Where the page is served. */
  readonly site: string;
}

const test = plain.extend<Fixtures, WorkerFixtures>({
  server: [
    async ({}, use) => {
      const server = await Server.start();
      await use(server);
      await server.remove();
    },
    { scope: 'worker' },
  ],
  site: [
    async ({}, use) => {
      const script = await bundled();
      const site = createServer(({ url }, answer) => {
        if (url === '/favicon.ico') return void answer.writeHead(204).end();
        const isScript = url!.endsWith('.js');
        answer.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
        answer.setHeader('content-security-policy', "default-src 'self'; connect-src *");
        answer.end(isScript ? script : HTML);
      });
      await new Promise<void>((done) => site.listen(0, '127.0.0.1', done));
      await use(`http://127.0.0.1:${(site.address() as AddressInfo).port}`);
      site.closeAllConnections();
      site.close();
    },
    { scope: 'worker' },
  ],
  open: async ({ page, server, site }, use) => {
    const failures: unknown[] = [];
    page.on('pageerror', (error) => failures.push(error));
    page.on('console', (message) => {
      const isOurs = !message.text().includes('ERR_CONNECTION_REFUSED');
      if (message.type() === 'error' && isOurs) failures.push(message.text());
    });
    const asked = new Set<string>();
    page.on('request', (request) => asked.add(new URL(request.url()).origin));
    await use(async (app, more = '') => {
      await page.goto(`${site}/?app=${app.id}&server=${server.url}${more}`);
      return page.locator('[data-trice-devtool]');
    });
    expect(failures).toEqual([]);
    expect([...asked].filter((origin) => origin !== server.url)).toEqual([site]);
  },
});

async function bundled(): Promise<string> {
  const entry = join(import.meta.dirname, 'devtool-page.ts');
  const built = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      lib: { entry, formats: ['es'] },
      rolldownOptions: { output: { codeSplitting: false } },
    },
  });
  const [{ output }] = [built].flat() as { output: { code?: string }[] }[] as [
    { output: { code?: string }[] },
  ];
  return output[0]!.code!;
}

function todos(page: Page): Locator {
  return page.getByRole('list', { name: 'Todos' }).getByRole('listitem');
}

async function addTodo(page: Page, title: string): Promise<void> {
  const field = page.getByLabel('New todo');
  await field.fill(title);
  await field.press('Enter');
}

test('[J239, J240] a refused write shows the rule that refused it, and is tried again', async ({
  server,
  page,
  open,
}) => {
  const app = await server.createApp('devtool', schema, RULES);
  await server.transact(app, [['update', 'people', PERSON, { name: 'shut' }]]);
  const panel = await open(app);
  await addTodo(page, 'Buy milk');
  await addTodo(page, 'forbidden');
  await expect(todos(page)).toHaveText(['Buy milk']);
  await expect(panel.getByRole('status')).toHaveText('1 write was refused');
  await panel.getByRole('button', { name: 'trice 1' }).click();
  await expect(panel.getByRole('listitem').filter({ hasText: '{todos:' })).toContainText(
    /1 row.*woken by (server|write)/,
  );

  await panel.getByRole('tab', { name: 'Writes' }).click();
  const row = panel.getByRole('listitem').filter({ hasText: 'create todos' });
  await expect(row).toContainText('create todos');
  await expect(row).toContainText('Refused by the rule todos.create or todos.update');
  await row.getByText('create todos').click();
  await expect(row.locator('pre')).toContainText('"title": "forbidden"');
  await expect(row.locator('pre')).toContainText('"expected": "perms-pass?"');

  // The same again, as the rule says no still; what is open stays open.
  await row.getByRole('button', { name: /^Retry/ }).click();
  await expect(row).toContainText('Refused by the rule');
  await expect(row.locator('pre')).toContainText('"title": "forbidden"');

  await server.transact(app, [['update', 'people', PERSON, { name: 'gate' }]]);
  await row.getByRole('button', { name: /^Retry/ }).press('Enter');
  await expect(todos(page)).toHaveText(['Buy milk', 'forbidden']);
  // It is acknowledged, and may wait for answers that contain it.
  const refused = panel.getByRole('listitem').filter({ hasText: 'rejected' });
  await expect(refused).toHaveCount(0);

  await server.transact(app, [['delete', 'people', PERSON]]);
  await addTodo(page, 'forbidden');
  await refused.getByRole('button', { name: /^Drop/ }).click();
  await expect(refused).toHaveCount(0);
  await expect(panel.getByRole('status')).toHaveText('');
});

test('[J241, J242, J243] the wire, what is known, the connection and a time line', async ({
  server,
  page,
  open,
}) => {
  const app = await server.createApp('devtool', schema);
  const panel = await open(app, '&open=yes');
  await addTodo(page, 'Buy milk');
  await expect(todos(page)).toHaveText(['Buy milk']);
  const rows = panel.getByRole('listitem');

  await panel.getByRole('tab', { name: 'Wire' }).click();
  await expect(rows.filter({ hasText: 'transact-ok' })).toHaveCount(1);
  await panel.getByLabel('Filter').fill('Buy milk');
  await expect(rows.filter({ hasText: 'transact-ok' })).toHaveCount(0);
  const sent = rows.filter({ hasText: /out\s*transact/ });
  await sent.locator('summary').click();
  await expect(sent.locator('pre')).toContainText('"Buy milk"');

  await panel.getByRole('tab', { name: 'Cache' }).click();
  await expect(rows.filter({ hasText: /^todos/ })).toContainText('1 entity');
  await expect(rows.filter({ hasText: 'Disk: ready' })).toContainText(/2 answers · \d/);

  await panel.getByRole('tab', { name: 'Connection' }).click();
  await expect(rows.filter({ hasText: /^Status/ })).toContainText('authenticated');
  await expect(rows.filter({ hasText: /^Transport/ })).toContainText('WebSocket');
  await server.kill();
  await expect(rows.filter({ hasText: /^Connections lost/ })).not.toContainText('lost0');
  await expect(rows.filter({ hasText: /^Status/ })).not.toContainText('authenticated');
  await server.restart();
  await expect(rows.filter({ hasText: /^Status/ })).toContainText('authenticated');

  await panel.getByRole('tab', { name: 'Timeline' }).click();
  await panel.getByLabel('Filter').fill('attempt');
  await expect(rows.first()).toContainText(/attempt by (websocket|events)/);
});

test('[J245] its views by keyboard, on phones and a desktop, in the light and in the dark', async ({
  server,
  page,
  open,
}) => {
  const app = await server.createApp('devtool', schema, RULES);
  const panel = await open(app);
  await addTodo(page, 'Buy milk');
  await addTodo(page, 'forbidden');
  await expect(panel.getByRole('status')).toHaveText('1 write was refused');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  for (const tab of ['Queries', 'Writes', 'Wire', 'Cache', 'Connection', 'Timeline']) {
    await expect(panel.getByRole('tab', { name: tab })).toBeFocused();
    await expect(panel.getByRole('tabpanel', { name: tab })).toBeVisible();
    await expect(panel.getByRole('listitem').first()).toBeVisible();
    await examine(page);
    await page.keyboard.press('ArrowRight');
  }
  await page.keyboard.press('Tab');
  await expect(panel.getByLabel('Filter')).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(panel.getByRole('tab')).toHaveCount(0);
  await expect(panel.getByRole('button', { name: 'trice 1' })).toBeFocused();
});

test('[J244] a thousand events a second leave the page smooth', async ({ server, page, open }) => {
  const app = await server.createApp('devtool', schema);
  const panel = await open(app, '&open=yes');
  await panel.getByRole('tab', { name: 'Timeline' }).click();
  await expect(panel.getByRole('listitem').first()).toBeVisible();
  const flood = await page.evaluate(() => window.flood());
  await expect(panel.getByRole('listitem')).toHaveCount(200);
  expect(flood.events).toBeGreaterThan(500);
  expect(flood.frames).toBeGreaterThan(20);
});
