import { address, createApp, enter, expect, expectConnected, people, test } from './fixtures';
import { Gate } from './gate';

test('[CLI80] a refused write shows at once, then rolls back with the reason', async ({
  server,
  page,
}) => {
  const logged: string[] = [];
  page.on('console', (message) => logged.push(message.text()));
  const app = await createApp('todo', server);
  const gate = await Gate.install(page);
  await page.goto(address('todo', server, app));
  await expectConnected(page);
  await enter(page, 'New person', 'Ada');
  await expect
    .poll(async () => (await server.query(app, { people: {} })).people.length)
    .toBe(1);

  gate.hold();
  await enter(page, 'New person', 'Ada');
  await expect(people(page)).toHaveText(['Ada', 'Ada']);

  gate.open();
  const alert = page.getByRole('alert');
  await expect(alert.getByRole('paragraph')).toHaveText('That name is taken already.');
  await expect.poll(() => logged.join('\n')).toContain('`name` is a unique attribute on `people`');
  await expect(people(page)).toHaveText(['Ada']);
  expect((await server.query(app, { people: {} })).people).toHaveLength(1);

  await page.getByRole('button', { name: 'Dismiss' }).click();
  await enter(page, 'New person', 'Grace');
  await expect(people(page)).toHaveText(['Ada', 'Grace']);
  await expect(page.getByRole('alert')).toHaveCount(0);
});
