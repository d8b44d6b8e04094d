import { randomUUID } from 'node:crypto';
import type { Page } from '@playwright/test';
import { GENERAL } from '../../../examples/chat/src/schema';
import { address, createApp, enter, expect, expectConnected, test, titles } from './fixtures';

/**
 * Go round the page with the Tab key, from wherever the focus is and once past the end: every
 * control is met, and shows that it has the focus.
 */
async function tabAround(page: Page): Promise<void> {
  const controls = page.locator('a, button, input, select, summary, [tabindex="0"]');
  const count = await controls.filter({ visible: true }).count();
  expect(count).toBeGreaterThan(0);
  const met = new Set<number>();
  for (let stop = 0; stop <= count; stop += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const active = document.activeElement ?? document.body;
      const place = [...document.querySelectorAll('body *')].indexOf(active);
      return { place, outline: getComputedStyle(active).outline };
    });
    if (at.place < 0) continue;
    expect(at.outline).toMatch(/solid [1-9]/);
    met.add(at.place);
  }
  expect(met.size).toBe(count);
}

test('[CLI85] the keyboard keeps its place among todos', async ({ server, page }) => {
  const app = await createApp('todo', server);
  await page.goto(address('todo', server, app));
  await expectConnected(page);
  const button = (name: string) => page.getByRole('button', { name, exact: true });
  for (const title of ['first', 'second', 'third', 'fourth']) await enter(page, 'New todo', title);
  await expect(page.getByLabel('New todo', { exact: true })).toBeFocused();
  await enter(page, 'New person', 'Ada');
  await expect(titles(page)).toHaveText(['fourth', 'third', 'second', 'first']);
  await tabAround(page);

  await button('Edit: third').press('Enter');
  await expect(page.getByLabel('Title')).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(button('Edit: third')).toBeFocused();
  await page.keyboard.press('Enter');
  await page.keyboard.type('third, changed');
  await page.keyboard.press('Enter');
  await expect(button('Edit: third, changed')).toBeFocused();

  await button('Open').press('Enter');
  await expect(button('Open')).toBeFocused();
  await page.getByLabel('Done: third, changed').press('Space');
  await expect(page.getByLabel('Done: second')).toBeFocused();

  // What somebody else removes is no different.
  const { todos } = await server.query(app, { todos: { $: { where: { title: 'second' } } } });
  await server.transact(app, [['delete', 'todos', todos[0].id]]);
  await expect(page.getByLabel('Done: first')).toBeFocused();
  await button('Delete: first').focus();
  // Held down, the key removes one row only.
  for (let repeat = 0; repeat < 3; repeat += 1) await page.keyboard.down('Enter');
  await page.keyboard.up('Enter');
  await expect(button('Delete: fourth')).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('region', { name: 'Todos' })).toBeFocused();

  await enter(page, 'New person', 'Ada');
  await page.getByRole('button', { name: 'Dismiss' }).press('Enter');
  await expect(page.getByRole('alert')).toHaveCount(0);
  await expect(page.getByLabel('New person')).toBeFocused();
  await button('Remove Ada').press('Enter');
  await expect(page.getByRole('region', { name: 'People' })).toBeFocused();
});

test('[CLI85, CLI86] the keyboard and the eye keep their place in the chat', async ({
  server,
  page,
}) => {
  const app = await createApp('chat', server);
  await page.goto(address('chat', server, app));
  await expectConnected(page);
  const log = page.getByRole('log');
  const texts = log.locator('.text');
  await expect(log).toContainText('No messages yet.');
  // What is read aloud is what is added to a log that is there.
  await log.evaluate((element) => element.setAttribute('data-seen', ''));
  await enter(page, 'Message', 'hello');
  await expect(page.locator('[data-seen]').getByText('hello')).toBeVisible();
  await expect(page.getByLabel('Message', { exact: true })).toBeFocused();
  await enter(page, 'New channel', 'kitchen');
  await expect(page.getByLabel('New channel')).toBeFocused();
  const general = page.getByRole('button', { name: '# general' });
  await general.press('Enter');
  await expect(general).toBeFocused();
  await tabAround(page);

  const message = (text: string) => {
    const messageId = randomUUID();
    return [
      ['update', 'messages', messageId, { text, author: 'Ada', sentAt: 1 }],
      ['link', 'messages', messageId, { channel: GENERAL.id }],
    ];
  };
  const old = Array.from({ length: 60 }, (_, index) => message(`old ${index}`));
  await server.transact(app, old.flat());
  await expect(texts).toHaveCount(50);
  await expect(texts.last()).toBeInViewport();
  await page.getByRole('button', { name: 'Show older messages' }).press('Enter');
  await expect(texts).toHaveCount(61);
  await expect(log).toBeFocused();

  // Who reads older messages is not moved away from them; who says something sees it.
  await page.keyboard.press('PageUp');
  await expect(texts.last()).not.toBeInViewport();
  const read = texts.nth(40);
  await read.scrollIntoViewIfNeeded();
  const before = (await read.boundingBox())!.y;
  await server.transact(app, message('from elsewhere'));
  await expect(texts.last()).toHaveText('from elsewhere');
  expect((await read.boundingBox())!.y).toBeCloseTo(before, -1);
  await expect(texts.last()).not.toBeInViewport();
  await enter(page, 'Message', 'mine');
  await expect(texts.last()).toHaveText('mine');
  await expect(texts.last()).toBeInViewport();
  await server.transact(app, message('an answer'));
  await expect(texts.last()).toHaveText('an answer');
  await expect(texts.last()).toBeInViewport();
});

test('[CLI85] the keyboard keeps its place while somebody signs in and out', async ({
  server,
  page,
}) => {
  const app = await createApp('sign-in', server);
  await page.goto(address('sign-in', server, app));
  await expectConnected(page);
  const button = (name: string) => page.getByRole('button', { name, exact: true });
  await tabAround(page);
  await enter(page, 'E-mail', 'ada@example.com');
  await expect(page.getByLabel('Code')).toBeFocused();
  await enter(page, 'Code', '000000');
  await button('Dismiss').press('Enter');
  await expect(page.getByLabel('Code')).toBeFocused();
  await button('Back').press('Enter');
  await expect(page.getByLabel('E-mail')).toBeFocused();

  const heading = page.getByRole('heading');
  await button('Continue as a guest').press('Enter');
  await expect(page.getByText('You are a guest.')).toBeVisible();
  await expect(heading).toBeFocused();
  for (const text of ['first', 'second']) await enter(page, 'New note', text);
  await expect(page.getByLabel('New note')).toBeFocused();
  await page.getByText('Keep these notes').click();
  await tabAround(page);
  await button('Delete: second').press('Enter');
  await expect(button('Delete: first')).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('region', { name: 'Your notes' })).toBeFocused();
  await button('Sign out').press('Enter');
  await expect(page.getByLabel('E-mail')).toBeVisible();
  await expect(heading).toBeFocused();
});
