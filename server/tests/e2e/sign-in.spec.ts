import { expect, test as base, type BrowserContext, type Page } from '@playwright/test';
import { addProvider, startOutside, type Outside } from '../interop/support/outside.mjs';
import { address, createApp, enter, expectConnected } from './fixtures';
import { Server, type App } from './server';

// A mail server and a sign-in provider beside the server. The page is on `localhost` and the
// provider on 127.0.0.1, two sites to a browser, so that its cookies behave as they do out there.
const test = base.extend<object, { outside: Outside; server: Server }>({
  outside: [
    async ({}, use) => {
      const outside = await startOutside();
      await use(outside);
      outside.stop();
    },
    { scope: 'worker' },
  ],
  server: [
    async ({ outside }, use) => {
      const server = await Server.start(outside.env);
      await use(server);
      await server.remove();
    },
    { scope: 'worker' },
  ],

  context: async ({ context }, use) => {
    const failures: Error[] = [];
    context.on('weberror', (failure) => failures.push(failure.error()));
    await use(context);
    expect(failures).toEqual([]);
  },
});

const siteOf = (server: Server) => server.url.replace('127.0.0.1', 'localhost');
const addressOf = (server: Server, app: App, more = '') =>
  address('sign-in', server, app, more).replace(server.url, siteOf(server));

let addressCount = 0;
const newAddress = () => `e2e${process.pid}-${(addressCount += 1)}@example.com`;

const notes = (page: Page) => page.getByRole('list', { name: 'Notes' }).locator('span');
const signOut = (page: Page) => page.getByRole('button', { name: 'Sign out' });

/** Fill in the forms as a person would who reads the mail. */
async function signIn(page: Page, outside: Outside, email: string): Promise<void> {
  const old = (await outside.mails(email)).at(-1)?.subject.slice(0, 6);
  await enter(page, 'E-mail', email);
  await expect(page.getByText(`on its way to ${email}`)).toBeVisible();
  await enter(page, 'Code', await outside.code(email, old));
  await expect(page.getByText(email, { exact: true })).toBeVisible();
}

/** A page in a browser of its own, in which somebody new is signed in. */
async function signedIn(context: BrowserContext, server: Server, app: App, outside: Outside) {
  const page = await context.newPage();
  const email = newAddress();
  await page.goto(addressOf(server, app));
  await signIn(page, outside, email);
  await expectConnected(page);
  return { page, email };
}

test('[CLI80, CLI87] a code from the mail signs in, and a reload stays signed in', async ({
  server,
  outside,
  page,
}) => {
  const app = await createApp('sign-in', server);
  const email = newAddress();
  await page.goto(addressOf(server, app));
  await enter(page, 'E-mail', email);
  await expect(page.getByLabel('Code')).toBeFocused();
  await expect(page.getByLabel('Code')).toHaveValue('');
  const code = await outside.code(email);
  await enter(page, 'Code', code === '000000' ? '111111' : '000000');
  await expect(page.getByRole('alert').getByRole('paragraph')).toHaveText(
    'That code is wrong or was used already.',
  );
  // As a mail shows it to who copies it.
  await enter(page, 'Code', ` ${code.slice(0, 3)} ${code.slice(3)} `);
  await expect(page.getByText(email, { exact: true })).toBeVisible();
  await enter(page, 'New note', 'only mine');
  await expect(notes(page)).toHaveText(['only mine']);
  await expectConnected(page);

  await page.reload();
  await expect(notes(page)).toHaveText(['only mine']);
  await expect(page.getByText(email, { exact: true })).toBeVisible();
  await expectConnected(page);
});

test('signing out in one tab signs the other out', async ({ server, outside, context }) => {
  const app = await createApp('sign-in', server);
  const { page: one } = await signedIn(context, server, app, outside);
  await enter(one, 'New note', 'only mine');
  const two = await context.newPage();
  await two.goto(addressOf(server, app));
  await expect(notes(two)).toHaveText(['only mine']);
  await signOut(one).click();
  for (const page of [one, two]) {
    await expect(page.getByLabel('E-mail')).toBeVisible();
    await expect(page.getByText('only mine')).toHaveCount(0);
  }
  await two.reload();
  await expect(two.getByLabel('E-mail')).toBeVisible();
});

test('signed out by the admin, an open page says so at once', async ({
  server,
  outside,
  context,
}) => {
  const app = await createApp('sign-in', server);
  const { page, email } = await signedIn(context, server, app, outside);
  await enter(page, 'New note', 'only mine');
  await expect(notes(page)).toHaveText(['only mine']);
  const { $users } = await server.query(app, { $users: { $: { where: { email } } } });
  await server.signOut(app, $users[0].id);
  await expect(page.getByLabel('E-mail')).toBeVisible();
  await expect(page.getByText('only mine')).toHaveCount(0);
});

test('a guest writes, signs up, and keeps it', async ({ server, outside, page, browser }) => {
  const app = await createApp('sign-in', server);
  await page.goto(addressOf(server, app));
  await page.getByRole('button', { name: 'Continue as a guest' }).click();
  await expect(page.getByText('You are a guest.')).toBeVisible();
  await enter(page, 'New note', 'from before');
  await expect(notes(page)).toHaveText(['from before']);
  await page.reload();
  await expect(notes(page)).toHaveText(['from before']);

  const email = newAddress();
  await page.getByText('Keep these notes: sign up').click();
  await signIn(page, outside, email);
  await expect(page.getByText('You are a guest.')).toHaveCount(0);
  await expect(notes(page)).toHaveText(['from before']);
  await enter(page, 'New note', 'from after');

  const elsewhere = await browser.newContext();
  const other = await elsewhere.newPage();
  await other.goto(addressOf(server, app));
  await signIn(other, outside, email);
  await expect(notes(other)).toHaveText(['from after', 'from before']);
  await elsewhere.close();
});

test('[CLI80, J251] the provider’s page leads back, signed in', async ({
  server,
  outside,
  page,
  browser,
}) => {
  const app = await createApp('sign-in', server);
  await addProvider(server, app, outside, { name: 'fake', site: siteOf(server) });
  const email = newAddress();
  await outside.person({ sub: email, email });
  const address = addressOf(server, app, '&provider=fake');
  await dance(page, address);
  await expect(page.getByText(email, { exact: true })).toBeVisible();
  await expect(page).toHaveURL(address);
  await enter(page, 'New note', 'only mine');
  await expect(notes(page)).toHaveText(['only mine']);
  await page.reload();
  await expect(notes(page)).toHaveText(['only mine']);

  const elsewhere = await browser.newContext();
  const other = await elsewhere.newPage();
  await dance(other, address);
  await expect(notes(other)).toHaveText(['only mine']);
  await elsewhere.close();

  await outside.person({ sub: 'unverified', email: newAddress(), email_verified: false });
  await signOut(page).click();
  await dance(page, address);
  await expect(page.getByRole('alert')).toHaveText(
    'That sign-in did not work. Please try again.',
  );
  await expect(page).toHaveURL(address);
});

/** To the provider and back; its own page sends the form by itself, as real ones do. */
async function dance(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await page.getByRole('link', { name: 'Sign in with fake' }).click();
  await page.waitForURL(/\/authorize\?/);
  await page.locator('form').evaluate((form: HTMLFormElement) => form.submit());
  await page.waitForURL(/\/sample\/sign-in\//);
}

test('[CLI80] a denied write shows, then rolls back with the reason', async ({
  server,
  outside,
  context,
}) => {
  const app = await createApp('sign-in', server);
  const { page } = await signedIn(context, server, app, outside);
  await enter(page, 'New note', 'short enough');
  await expect(notes(page)).toHaveText(['short enough']);
  const seen = await everyText(page);
  // The field takes 80 characters; what another client may send is up to the rules.
  await page.getByLabel('New note').evaluate((field) => field.removeAttribute('maxlength'));
  await enter(page, 'New note', 'too long '.repeat(12));
  await expect(page.getByRole('alert')).toContainText('Not saved: a note has at most 80');
  await expect(notes(page)).toHaveText(['short enough']);
  expect(await seen()).toContain('too long too long');
  expect((await server.query(app, { notes: {} })).notes).toHaveLength(1);
  await enter(page, 'New note', 'short again');
  await expect(notes(page)).toHaveText(['short again', 'short enough']);
  await expect(page.getByRole('alert')).toHaveCount(0);
});

/** Everything the list of notes shows from now on, however briefly. */
async function everyText(page: Page): Promise<() => Promise<string>> {
  await page.evaluate(() => {
    const shown: string[] = [];
    Object.assign(window, { shown });
    new MutationObserver(() => shown.push(document.body.innerText)).observe(document.body, {
      subtree: true,
      childList: true,
    });
  });
  return () => page.evaluate(() => (window as unknown as { shown: string[] }).shown.join('\n'));
}

test('nobody else’s notes reach a page, neither its HTML nor its socket', async ({
  server,
  outside,
  browser,
}) => {
  const app = await createApp('sign-in', server);
  const [ann, bob] = [await browser.newContext(), await browser.newContext()];
  const frames: string[] = [];
  const pageOfBob = await bob.newPage();
  pageOfBob.on('websocket', (socket) =>
    socket.on('framereceived', ({ payload }) => frames.push(payload.toString())),
  );
  const emailOfBob = newAddress();
  await pageOfBob.goto(addressOf(server, app));
  await signIn(pageOfBob, outside, emailOfBob);
  const { page: pageOfAnn, email: emailOfAnn } = await signedIn(ann, server, app, outside);

  await enter(pageOfAnn, 'New note', 'the safe opens with 1234');
  await expect(notes(pageOfAnn)).toHaveText(['the safe opens with 1234']);
  await enter(pageOfBob, 'New note', 'milk');
  await expect(notes(pageOfBob)).toHaveText(['milk']);
  await expect
    .poll(async () => (await server.query(app, { notes: {} })).notes.length)
    .toBe(2);
  await pageOfBob.reload();
  await expect(notes(pageOfBob)).toHaveText(['milk']);
  await expectConnected(pageOfBob);

  const received = frames.join('\n');
  expect(received).toContain('milk');
  const { $users, notes: all } = await server.query(app, { $users: {}, notes: {} });
  const idOfAnn = $users.find((user: { email: string }) => user.email === emailOfAnn).id;
  const noteOfAnn = all.find((note: { text: string }) => note.text.startsWith('the safe')).id;
  for (const hidden of ['the safe opens', emailOfAnn, idOfAnn, noteOfAnn]) {
    expect(received).not.toContain(hidden);
    expect(await pageOfBob.content()).not.toContain(hidden);
  }
  await ann.close();
  await bob.close();
});
