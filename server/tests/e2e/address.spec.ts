import { address, createApp, enter, expect, expectConnected, test, titles } from './fixtures';

test('[CLI82, CLI89] the filter is in the address', async ({ server, page, open }) => {
  const app = await createApp('todo', server);
  await page.goto(address('todo', server, app));
  for (const title of ['first', 'second']) await enter(page, 'New todo', title);
  await page.getByLabel('Done: first').check();
  const shown = page.getByRole('group').getByRole('button', { pressed: true });
  await page.getByRole('button', { name: 'Done', exact: true }).click();
  await expect(titles(page)).toHaveText(['first']);
  await expect(page).toHaveURL(address('todo', server, app, '&filter=done'));

  await page.reload();
  await expect(titles(page)).toHaveText(['first']);
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await expect(titles(page)).toHaveText(['second']);
  await page.goBack();
  await expect(titles(page)).toHaveText(['first']);
  await expect(shown).toHaveText('Done');

  const opened = page.waitForEvent('popup');
  await page.getByRole('link', { name: 'Open a second window' }).click();
  const second = await opened;
  await expect(second).toHaveURL(page.url());
  await expect(titles(second)).toHaveText(['first']);

  const odd = await open('todo', server, app, '&filter=toString');
  await expect(titles(odd)).toHaveText(['second', 'first']);
});

test('[CLI82, CLI89] the channel is in the address', async ({ server, page, open }) => {
  const app = await createApp('chat', server);
  await page.goto(address('chat', server, app));
  await expectConnected(page);
  const heading = page.getByRole('heading');
  await enter(page, 'New channel', 'kitchen');
  await expect(heading).toHaveText('# kitchen');
  await enter(page, 'Message', 'Soup is on');
  await page.getByRole('button', { name: '# general' }).click();
  await expect(heading).toHaveText('# general');
  await page.goBack();
  await expect(heading).toHaveText('# kitchen');
  await expect(page.getByRole('log').locator('.text')).toHaveText(['Soup is on']);

  const { search } = new URL(page.url());
  const other = await open('chat', server, app, search.replace(/^.*(?=&channel)/, ''));
  await expect(other.getByRole('log').locator('.text')).toHaveText(['Soup is on']);
  // A channel of that name is there already: it is opened.
  await other.getByRole('button', { name: '# general' }).click();
  await enter(other, 'New channel', '# kitchen');
  await expect(other.getByRole('log').locator('.text')).toHaveText(['Soup is on']);
  await expect(other.getByRole('alert')).toHaveCount(0);

  await other.getByRole('button', { name: '# general' }).click();
  const opened = other.waitForEvent('popup');
  await other.getByRole('link', { name: 'Open a second window' }).click();
  await expect((await opened).getByRole('heading')).toHaveText('# general');

  const odd = await open('chat', server, app, '&channel=nowhere');
  await expect(odd.getByRole('heading')).toHaveText('# general');
  await expect(odd.getByRole('log')).toContainText('No messages yet.');
});

test('[CLI91] a link cannot send a page to another server', async ({ server, page }) => {
  const app = await createApp('sign-in', server);
  const elsewhere: string[] = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(`${server.url}/`)) elsewhere.push(request.url());
  });
  page.on('websocket', (socket) => elsewhere.push(socket.url()));
  await page.goto(address('sign-in', server, app, '&api=http://localhost:9&server=//localhost:9'));
  await expectConnected(page);
  await page.getByRole('button', { name: 'Continue as a guest' }).click();
  await enter(page, 'New note', 'mine');
  await expect(page.getByText('mine', { exact: true })).toBeVisible();
  await expectConnected(page);
  const socket = `${server.url.replace('http', 'ws')}/runtime/session?app_id=${app.id}`;
  expect([...new Set(elsewhere)].filter((url) => !url.startsWith('data:'))).toEqual([socket]);
});
