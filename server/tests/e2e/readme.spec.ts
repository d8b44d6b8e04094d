import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import react from '@vitejs/plugin-react';
import { build, type Rolldown } from 'vite';
import { expect, test } from './fixtures';

const TESTS = resolve(import.meta.dirname, '..');
const README = resolve(TESTS, '../../README.md');

// React 19 is what the sample apps use.
for (const version of [18, 19]) {
  test(`the chat of the README works as printed on React ${version}`, async ({
    server,
    context,
  }, info) => {
    const app = await server.createApp('chat', { entities: {} });
    const code = /```jsx\n(.*?)```/s.exec(await readFile(README, 'utf8'))?.[1] ?? '';
    // As README and dev servers call the host; the client's own button shows nowhere else.
    const host = `localhost:${new URL(server.url).port}`;
    const chat = code.replace('YOUR APP ID', app.id).replace('localhost:8888', host);
    await writeFile(info.outputPath('chat.jsx'), chat);
    await writeFile(
      info.outputPath('main.jsx'),
      `import { version } from 'react';
       import { createRoot } from 'react-dom/client';
       import { Chat } from './chat.jsx';
       document.documentElement.dataset.react = version;
       createRoot(document.getElementById('root')).render(<Chat />);`,
    );
    const bundle = await bundleOf(info.outputPath('main.jsx'), version);

    const pages = [await context.newPage(), await context.newPage()] as const;
    for (const page of pages) {
      await page.route('**/readme/', (route) =>
        route.fulfill({
          contentType: 'text/html',
          body: '<div id="root"></div><script type="module" src="chat.js"></script>',
        }),
      );
      await page.route('**/readme/chat.js', (route) =>
        route.fulfill({ contentType: 'text/javascript', body: bundle }),
      );
      await page.goto(`http://${host}/readme/`);
      await expect(page.locator('html')).toHaveAttribute('data-react', RegExp(`^${version}\\.`));
    }

    await expect(pages[0].locator('[class^=instant-devtool]')).toHaveCount(0);
    for (const [page, text] of [
      [pages[0], 'hello'],
      [pages[1], 'hello yourself'],
    ] as const) {
      await page.getByRole('textbox').fill(text);
      await page.getByRole('textbox').press('Enter');
      await expect(page.getByRole('textbox')).toHaveValue('');
      await expect(pages[0].getByText(text, { exact: true })).toBeVisible();
      await expect(pages[1].getByText(text, { exact: true })).toBeVisible();
    }
    await expect(pages[0].getByRole('paragraph')).toHaveText(['hello', 'hello yourself']);
  });
}

async function bundleOf(entry: string, version: number): Promise<string> {
  const older = resolve(TESTS, `react-${version}/node_modules`);
  const alias = { react: `${older}/react`, 'react-dom': `${older}/react-dom` };
  const result = (await build({
    configFile: false,
    logLevel: 'error',
    plugins: [react()],
    ...(version === 18 && { resolve: { alias } }),
    build: { write: false, rolldownOptions: { input: entry } },
  })) as Rolldown.RolldownOutput;
  const [chunk] = result.output;
  return chunk.code;
}
