import { expect, test as plain, type BrowserContext, type Page } from '@playwright/test';
import { schema as chatSchema } from '../../../examples/chat/src/schema';
import galleryRules from '../../../examples/gallery/rules.json' with { type: 'json' };
import { schema as gallerySchema } from '../../../examples/gallery/src/schema';
import signInRules from '../../../examples/sign-in/rules.json' with { type: 'json' };
import { schema as signInSchema } from '../../../examples/sign-in/src/schema';
import { schema as todoSchema } from '../../../examples/todo/src/schema';
import { Server, type App } from './server';

export { expect };

const SCHEMAS = {
  todo: todoSchema,
  chat: chatSchema,
  'sign-in': signInSchema,
  gallery: gallerySchema,
};
const RULES = {
  todo: undefined,
  chat: undefined,
  'sign-in': signInRules,
  gallery: galleryRules,
};
export type Example = keyof typeof SCHEMAS;

interface Fixtures {
  /** A server that no other test uses, so that this one may kill it. */
  readonly ownServer: Server;
  /**
   * Open an example in a browser profile of its own, with `more` at the end of its address. Any
   * uncaught error fails the test.
   */
  readonly open: (example: Example, server: Server, app: App, more?: string) => Promise<Page>;
}

interface WorkerFixtures {
  /** The server that tests share; each makes an app of its own on it. */
  readonly server: Server;
}

export const test = plain.extend<Fixtures, WorkerFixtures>({
  server: [
    async ({}, use) => {
      const server = await Server.start();
      await use(server);
      await server.remove();
    },
    { scope: 'worker' },
  ],

  ownServer: async ({}, use) => {
    const server = await Server.start();
    await use(server);
    await server.remove();
  },

  open: async ({ browser }, use) => {
    const contexts: BrowserContext[] = [];
    const failures: Error[] = [];
    await use(async (example, server, app, more) => {
      const context = await browser.newContext();
      contexts.push(context);
      const page = await context.newPage();
      page.on('pageerror', (error) => failures.push(error));
      await page.goto(address(example, server, app, more));
      return page;
    });
    for (const context of contexts) await context.close();
    expect(failures).toEqual([]);
  },
});

/** Where `trice serve --sample examples` serves an example, on the client of the test's project. */
export function address(example: Example, server: Server, app: App, more = ''): string {
  const folder = test.info().project.name === 'tricedb' ? `${example}/tricedb` : example;
  return `${server.url}/sample/${folder}/?app=${app.id}${more}`;
}

/** A throw-away app with the example's schema and, if none are given, its rules. */
export function createApp(example: Example, server: Server, rules?: object): Promise<App> {
  return server.createApp(example, SCHEMAS[example], rules ?? RULES[example]);
}

export async function expectConnected(page: Page): Promise<void> {
  await expect(connection(page)).toHaveText('Connected');
}

export async function expectOffline(page: Page): Promise<void> {
  await expect(connection(page)).toContainText('Offline');
}

/** Where a page tells whether it is in touch with the server. */
function connection(page: Page) {
  return page.getByRole('status').and(page.locator('.connection'));
}

/** Type into the field with this label and press Enter. */
export async function enter(page: Page, label: string, text: string): Promise<void> {
  const field = page.getByLabel(label, { exact: true });
  await field.fill(text);
  await field.press('Enter');
}

/** The titles on the page, top to bottom. */
export function titles(page: Page) {
  return page.getByRole('list', { name: 'Todos' }).getByRole('button', { name: /^Edit: / });
}

/** The names on the page, in order. */
export function people(page: Page) {
  return page.getByRole('list', { name: 'People' }).locator('span');
}
