import { randomUUID } from 'node:crypto';
import { GENERAL } from '../../../examples/chat/src/schema';
import { createApp, enter, expect, expectConnected, test } from './fixtures';
import type { Page } from '@playwright/test';

function texts(page: Page) {
  return page.getByRole('log').locator('.text');
}

async function say(page: Page, author: string, text: string): Promise<void> {
  await page.getByLabel('Your name').fill(author);
  await enter(page, 'Message', text);
}

test('[J250] two people talk in two channels', async ({ server, open }) => {
  const app = await createApp('chat', server);
  const [ada, bob] = [await open('chat', server, app), await open('chat', server, app)];
  await expectConnected(ada);
  await expectConnected(bob);

  await say(ada, 'Ada', 'Anybody here?');
  await expect(texts(bob)).toHaveText(['Anybody here?']);
  await say(bob, 'Bob', 'I am');
  await expect(texts(ada)).toHaveText(['Anybody here?', 'I am']);
  await expect(ada.getByRole('log').locator('strong')).toHaveText(['Ada', 'Bob']);

  await enter(ada, 'New channel', 'kitchen');
  await expect(ada.getByRole('heading')).toHaveText('# kitchen');
  await say(ada, 'Ada', 'Soup is on');
  await bob.getByRole('button', { name: '# kitchen' }).click();
  await expect(texts(bob)).toHaveText(['Soup is on']);
  await bob.getByRole('button', { name: '# general' }).click();
  await expect(texts(bob)).toHaveText(['Anybody here?', 'I am']);
});

test('a long history loads page by page while new messages arrive', async ({ server, open }) => {
  const app = await createApp('chat', server);
  const steps: unknown[] = [['update', 'channels', GENERAL.id, { name: GENERAL.name }]];
  await server.transact(app, steps);
  for (let number = 1; number <= 120; number += 1) {
    const messageId = randomUUID();
    const message = { text: `message ${number}`, author: 'Ada', sentAt: number };
    await server.transact(app, [
      ['update', 'messages', messageId, message],
      ['link', 'messages', messageId, { channel: GENERAL.id }],
    ]);
  }
  const range = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => `message ${from + index}`);

  const [reader, writer] = [await open('chat', server, app), await open('chat', server, app)];
  await expect(texts(reader)).toHaveText(range(71, 120));
  await reader.getByRole('button', { name: 'Show older messages' }).click();
  await expect(texts(reader)).toHaveText(range(21, 120));

  await expectConnected(writer);
  await say(writer, 'Bob', 'message 121');
  await expect(texts(reader)).toHaveText(range(21, 121));
  await reader.getByRole('button', { name: 'Show older messages' }).click();
  await expect(texts(reader)).toHaveText(range(1, 121));
  await expect(reader.getByRole('button', { name: 'Show older messages' })).toHaveCount(0);
});

/** The names of the people who look at the channel, oneself first. */
function here(page: Page) {
  return page.getByRole('list', { name: 'Here now' }).getByRole('listitem');
}

test('people see who is here, who writes, where the others point, and waves', async ({
  server,
  open,
}) => {
  const app = await createApp('chat', server);
  const [ada, bob] = [await open('chat', server, app), await open('chat', server, app)];
  await expectConnected(ada);
  await expectConnected(bob);
  await ada.getByLabel('Your name').fill('Ada');
  await bob.getByLabel('Your name').fill('Bob');
  await expect(here(ada)).toHaveText(['AAda (you)', 'BBob']);
  await expect(here(bob)).toHaveText(['BBob (you)', 'AAda']);

  const typing = bob.getByRole('status', { name: 'Typing' });
  await ada.getByLabel('Message', { exact: true }).press('H');
  await expect(typing).toHaveText('Ada is typing…');
  await expect(typing).toHaveText('');

  await ada.getByRole('button', { name: 'Wave' }).click();
  await expect(bob.getByRole('status', { name: 'Waves' })).toHaveText('Ada 👋');

  await ada.getByRole('log').hover();
  await expect(bob.locator('.pointer')).toHaveText('Ada');

  await enter(ada, 'New channel', 'kitchen');
  await expect(here(bob)).toHaveText(['BBob (you)']);
  await expect(bob.locator('.pointer')).toHaveCount(0);
  await bob.getByRole('button', { name: '# kitchen' }).click();
  await expect(here(ada)).toHaveText(['AAda (you)', 'BBob']);
  await bob.close();
  await expect(here(ada)).toHaveText(['AAda (you)']);
});
