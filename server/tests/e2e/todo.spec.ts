import { createApp, enter, expect, expectConnected, people, test, titles } from './fixtures';

test('[J250] two pages see each other write', async ({ server, open }) => {
  const app = await createApp('todo', server);
  const [ada, bob] = [await open('todo', server, app), await open('todo', server, app)];
  await expectConnected(ada);
  await expectConnected(bob);

  await enter(ada, 'New todo', 'Buy milk');
  await expect(titles(bob)).toHaveText(['Buy milk']);
  await enter(bob, 'New todo', 'Walk the dog');
  await expect(titles(ada)).toHaveText(['Walk the dog', 'Buy milk']);

  await bob.getByLabel('Done: Buy milk').check();
  await expect(ada.getByLabel('Done: Buy milk')).toBeChecked();

  await ada.getByRole('button', { name: 'Edit: Buy milk' }).click();
  await enter(ada, 'Title', 'Buy oat milk');
  await expect(titles(bob)).toHaveText(['Walk the dog', 'Buy oat milk']);

  await bob.getByRole('button', { name: 'Delete: Walk the dog' }).click();
  await expect(titles(ada)).toHaveText(['Buy oat milk']);
});

test('an owner is a link that both sides see change', async ({ server, open }) => {
  const app = await createApp('todo', server);
  const [one, other] = [await open('todo', server, app), await open('todo', server, app)];

  await enter(one, 'New person', 'Grace');
  await enter(one, 'New person', 'Ada');
  await expect(people(other)).toHaveText(['Ada', 'Grace']);

  await other.getByLabel('Owner of the new todo').selectOption('Ada');
  await enter(other, 'New todo', 'Write the notes');
  const owner = one.getByLabel('Owner: Write the notes').locator('option:checked');
  await expect(owner).toHaveText('Ada');

  await other.getByLabel('Owner: Write the notes').selectOption('Grace');
  await expect(owner).toHaveText('Grace');
  await other.getByLabel('Owner: Write the notes').selectOption('Nobody');
  await expect(owner).toHaveText('Nobody');

  await one.getByRole('button', { name: 'Remove Grace' }).click();
  await expect(people(other)).toHaveText(['Ada']);
  await expect(titles(other)).toHaveText(['Write the notes']);
});

test('a filter is a live query: rows leave and enter it', async ({ server, open }) => {
  const app = await createApp('todo', server);
  const [one, other] = [await open('todo', server, app), await open('todo', server, app)];
  for (const title of ['first', 'second', 'third']) await enter(one, 'New todo', title);
  await expect(titles(other)).toHaveText(['third', 'second', 'first']);

  await other.getByRole('button', { name: 'Open', exact: true }).click();
  await one.getByLabel('Done: second').check();
  await expect(titles(other)).toHaveText(['third', 'first']);
  await expect(other.getByText('2 open')).toBeVisible();

  await other.getByRole('button', { name: 'Done', exact: true }).click();
  await expect(titles(other)).toHaveText(['second']);
  await one.getByLabel('Done: second').uncheck();
  await expect(titles(other)).toHaveCount(0);
  await expect(other.getByText('3 open')).toBeVisible();
});
