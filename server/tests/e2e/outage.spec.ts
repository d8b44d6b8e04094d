import {
  address,
  createApp,
  enter,
  expect,
  expectConnected,
  expectOffline,
  test,
  titles,
} from './fixtures';
import { Gate } from './gate';

test('offline writes survive a reload and arrive once online', async ({
  server,
  page,
  context,
  open,
}) => {
  const app = await createApp('todo', server);
  const gate = await Gate.install(page);
  await page.goto(address('todo', server, app));
  await expectConnected(page);
  await enter(page, 'New todo', 'written online');
  const witness = await open('todo', server, app);
  await expect(titles(witness)).toHaveText(['written online']);

  await gate.shut();
  await context.setOffline(true);
  await expectOffline(page);
  await enter(page, 'New todo', 'written offline');
  await page.getByLabel('Done: written online').check();
  await expect(titles(page)).toHaveText(['written offline', 'written online']);

  // Back on the network, but the server stays out of reach: the reload must live on what is stored.
  await context.setOffline(false);
  await page.reload();
  await expect(titles(page)).toHaveText(['written offline', 'written online']);
  await expect(page.getByLabel('Done: written online')).toBeChecked();
  await expectOffline(page);
  await expect(titles(witness)).toHaveText(['written online']);

  gate.open();
  await expectConnected(page);
  await expect(titles(witness)).toHaveText(['written offline', 'written online']);
  await expect(witness.getByLabel('Done: written online')).toBeChecked();
  await expect(titles(page)).toHaveText(['written offline', 'written online']);
});

test('without WebSockets a page lives on event streams, and goes back', async ({
  server,
  page,
  context,
  open,
}) => {
  const app = await createApp('todo', server);
  const gate = await Gate.install(page);
  await gate.shut({ http: false });
  const streamed = page.waitForResponse(
    (response) => response.url().includes('/runtime/sse') && response.status() === 200,
  );
  await page.goto(address('todo', server, app));
  await streamed;
  await expectConnected(page);
  expect(gate.passed).toBe(0);

  const other = await open('todo', server, app);
  await enter(page, 'New todo', 'over the stream');
  await expect(titles(other)).toHaveText(['over the stream']);
  await enter(other, 'New todo', 'back over the stream');
  await expect(titles(page)).toHaveText(['back over the stream', 'over the stream']);

  await context.setOffline(true);
  await expectOffline(page);
  // Now, so that no socket that is tried beside the stream passes before it.
  gate.open();
  await context.setOffline(false);
  await expectConnected(page);
  await expect.poll(() => gate.passed).toBe(1);
  await enter(other, 'New todo', 'over the socket again');
  await expect(titles(page).first()).toHaveText('over the socket again');
});

test('a page comes back after the server was away', async ({ ownServer, open }) => {
  const app = await createApp('todo', ownServer);
  const page = await open('todo', ownServer, app);
  await expectConnected(page);
  await enter(page, 'New todo', 'before');
  await expect
    .poll(async () => (await ownServer.query(app, { todos: {} })).todos.length)
    .toBe(1);

  await ownServer.kill();
  await expectOffline(page);
  await enter(page, 'New todo', 'meanwhile');
  await expect(titles(page)).toHaveText(['meanwhile', 'before']);

  await ownServer.restart();
  await expectConnected(page);
  const fresh = await open('todo', ownServer, app);
  await expect(titles(fresh)).toHaveText(['meanwhile', 'before']);
  await enter(fresh, 'New todo', 'after');
  await expect(titles(page)).toHaveText(['after', 'meanwhile', 'before']);
});
