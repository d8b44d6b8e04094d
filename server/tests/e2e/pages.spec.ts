import { randomUUID } from 'node:crypto';
import type { Page } from '@playwright/test';
import { GENERAL } from '../../../examples/chat/src/schema';
import { examine } from './examine';
import {
  address,
  createApp,
  enter,
  expect,
  expectConnected,
  expectOffline,
  test,
} from './fixtures';
import type { App, Server } from './server';

// Every state of every page, looked at on phones and a desktop, in the light and in the dark.

const LONG = 'x'.repeat(200);
const ARABIC = 'مرحبا بالعالم (abc) 1!';

/** Owners and todos, channels and messages whose names and texts are ordinary, long and Arabic. */
async function fillTodos(server: Server, app: App): Promise<void> {
  const steps = ['Ada', LONG, ARABIC].flatMap((name, index) => {
    const [personId, todoId] = [randomUUID(), randomUUID()];
    return [
      ['update', 'people', personId, { name }],
      ['update', 'todos', todoId, { title: name, done: index === 0 }],
      ['link', 'todos', todoId, { owner: personId }],
    ];
  });
  await server.transact(app, steps);
}

async function fillChat(server: Server, app: App): Promise<void> {
  const names = [LONG, ARABIC, ...Array.from({ length: 12 }, (_, index) => `a channel ${index}`)];
  const channels = names.map((name) => ['update', 'channels', randomUUID(), { name }]);
  const messages = ['Ada', LONG, ARABIC].flatMap((text) => {
    const messageId = randomUUID();
    return [
      ['update', 'messages', messageId, { text, author: text, sentAt: 1 }],
      ['link', 'messages', messageId, { channel: GENERAL.id }],
    ];
  });
  const general = ['update', 'channels', GENERAL.id, { name: GENERAL.name }];
  await server.transact(app, [general, ...channels, ...messages]);
}

async function fillNotes(server: Server, app: App): Promise<void> {
  await server.transact(app, [['update', 'notes', randomUUID(), { text: 'milk' }]]);
}

async function expectDirection(page: Page, text: string, direction: string): Promise<void> {
  await expect(page.getByText(text, { exact: true }).last()).toHaveCSS('direction', direction);
}

test('[CLI84, CLI90] the root page, on a phone and in the dark', async ({ server, page }) => {
  await page.goto(server.url);
  await expect(page.getByRole('heading')).toHaveText('trice is running');
  await expect(page.getByText('curl -X POST')).toContainText(`${server.url}/dash/apps/ephemeral`);
  await examine(page);
  const background = () =>
    page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  await page.emulateMedia({ colorScheme: 'dark' });
  expect(await background()).not.toBe(light);
});

test('[CLI81, CLI84] a page without an app that opens says what is wrong', async ({
  server,
  page,
}) => {
  const failures: Error[] = [];
  page.on('pageerror', (error) => failures.push(error));
  const unknown = randomUUID();
  for (const example of ['todo', 'chat', 'sign-in']) {
    const sample = `${server.url}/sample/${example}/`;
    await page.goto(sample);
    await expect(page.getByRole('heading')).toHaveText('Which app?');
    await page.goto(`${sample}?app=${LONG}`);
    await expect(page.getByRole('heading')).toHaveText('Not an app id');
    await expect(page.getByRole('main')).toContainText(LONG);
    await examine(page);
    await page.goto(`${sample}?app=${unknown}`);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('No such app');
    await expect(page.getByRole('main')).toContainText(unknown);
    await examine(page);
  }
  expect(failures).toEqual([]);
});

test('[CLI80, CLI83, CLI84, CLI88] todos of any length and direction', async ({
  server,
  page,
  context,
}) => {
  const app = await createApp('todo', server);
  await page.goto(address('todo', server, app));
  await expectConnected(page);
  await expect(page.getByText('Nothing here.')).toBeVisible();
  await examine(page);

  await fillTodos(server, app);
  await expect(page.getByRole('button', { name: /^Edit: / })).toHaveCount(3);
  await expectDirection(page, 'Ada', 'ltr');
  await expectDirection(page, ARABIC, 'rtl');
  await expect(page.getByRole('button', { name: `Edit: ${ARABIC}` })).toHaveCSS('direction', 'rtl');
  await page.getByRole('button', { name: 'Edit: Ada' }).click();
  await enter(page, 'New person', 'Ada');
  await expect(page.getByRole('alert')).toContainText('That name is taken already.');
  await examine(page);

  await page.setViewportSize({ width: 390, height: 844 });
  const row = page.getByRole('listitem').filter({ has: page.getByLabel(`Done: ${LONG}`) });
  const [whole, title] = [await row.boundingBox(), await row.locator('.title').boundingBox()];
  expect(title!.width).toBeGreaterThan(0.8 * whole!.width);
  await expect(page.getByRole('alert')).toBeInViewport();

  await context.setOffline(true);
  await expectOffline(page);
  await examine(page);
});

test('[CLI80, CLI83, CLI84, CLI88] channels of any length and direction', async ({
  server,
  page,
  context,
}) => {
  const app = await createApp('chat', server);
  await page.goto(address('chat', server, app));
  await expectConnected(page);
  await expect(page.getByRole('log')).toContainText('No messages yet.');
  await examine(page);

  await fillChat(server, app);
  const log = page.getByRole('log');
  await expect(log.locator('.text')).toHaveCount(3);
  await expectDirection(page, 'Ada', 'ltr');
  await expectDirection(page, ARABIC, 'rtl');
  await expect(log.locator('bdi').getByText(ARABIC)).toHaveCSS('direction', 'rtl');
  await page.getByRole('button', { name: `# ${LONG}` }).click();
  await expect(page.getByRole('heading')).toContainText(LONG);
  await examine(page);

  // The strip of channels is too narrow for them: it shows the open one, from the start too.
  await page.setViewportSize({ width: 320, height: 568 });
  await page.getByRole('button', { name: '# general' }).click();
  await expect(page.getByRole('button', { name: '# a channel 0' })).not.toBeInViewport();
  await page.reload();
  await expect(page.getByRole('button', { name: '# general' })).toBeInViewport({ ratio: 0.9 });
  await enter(page, 'New channel', 'zebra');
  await expect(page.getByRole('button', { name: '# zebra' })).toBeInViewport({ ratio: 0.9 });
  await context.setOffline(true);
  await expectOffline(page);
  await examine(page);
});

test('[CLI80, CLI84] a message that is refused', async ({ server, page }) => {
  const rules = { messages: { allow: { create: 'false' } } };
  const app = await createApp('chat', server, rules);
  await page.goto(address('chat', server, app));
  await expectConnected(page);
  await enter(page, 'Message', 'hello');
  const alert = page.getByRole('alert');
  await expect(alert.getByRole('paragraph')).toHaveText('You may not write here.');
  await expect(page.getByText('hello')).toHaveCount(0);
  await examine(page);
  await alert.getByRole('button', { name: 'Dismiss' }).click();
  await expect(alert).toHaveCount(0);
  await expect(page.getByLabel('Message', { exact: true })).toBeFocused();
});

test('[CLI80, CLI84] a query that fails', async ({ server, page }) => {
  const logged: string[] = [];
  page.on('console', (message) => logged.push(message.text()));
  // Rules that cannot be evaluated.
  for (const example of ['todo', 'chat', 'sign-in'] as const) {
    const allow = { view: '1 / 0 == data.id' };
    const rules = { todos: { allow }, messages: { allow }, notes: { allow } };
    const app = await createApp(example, server, rules);
    const fill = { todo: fillTodos, chat: fillChat, 'sign-in': fillNotes }[example];
    await fill(server, app);
    logged.length = 0;
    await page.goto(address(example, server, app));
    if (example === 'sign-in') await page.getByRole('button', { name: 'Continue as' }).click();
    await expect(page.getByRole('alert')).toHaveText(/could not be loaded\. Please reload/);
    await expect.poll(() => logged.join('\n')).toContain('evaluat');
    await examine(page);
  }
});

test('[CLI80, CLI83, CLI84, CLI87, CLI89] signing in, and notes', async ({ server, page }) => {
  const app = await createApp('sign-in', server);
  await page.goto(address('sign-in', server, app));
  await expectConnected(page);
  await examine(page);
  await expect(page.getByLabel('E-mail')).toHaveAttribute('autocomplete', 'email');
  await enter(page, 'E-mail', 'ada@example');
  await expect(page.getByRole('alert')).toContainText('That does not look right.');
  await enter(page, 'E-mail', `${'x'.repeat(60)}@example.com`);
  await expect(page.getByLabel('Code')).toHaveAttribute('autocomplete', 'one-time-code');
  await expect(page.getByLabel('Code')).toHaveAttribute('maxlength', '12');
  await enter(page, 'Code', '000000');
  await expect(page.getByRole('alert')).toContainText('That code is wrong');
  await examine(page);
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await expect(page.getByRole('alert')).toHaveCount(0);

  await page.getByRole('button', { name: 'Continue as a guest' }).click();
  await enter(page, 'New note', ARABIC);
  await page.getByLabel('New note').pressSequentially('x'.repeat(81));
  await expect(page.getByLabel('New note')).toHaveValue('x'.repeat(80));
  await page.keyboard.press('Enter');
  await expect(page.getByRole('list', { name: 'Notes' }).getByRole('listitem')).toHaveCount(2);
  await expectDirection(page, ARABIC, 'rtl');
  const opened = page.waitForEvent('popup');
  await page.getByRole('link', { name: 'Open a second window' }).click();
  await expect((await opened).getByText(ARABIC)).toBeVisible();
  await page.getByText('Keep these notes: sign up').click();
  // What another client may send is up to the rules.
  await page.getByLabel('New note').evaluate((field) => field.removeAttribute('maxlength'));
  await enter(page, 'New note', 'too long '.repeat(12));
  await expect(page.getByRole('alert')).toContainText('Not saved');
  await examine(page);
});
