import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import react from '@vitejs/plugin-react';
import { build, type Rolldown } from 'vite';
import { expect, test } from './fixtures';

const README = resolve(import.meta.dirname, '../../../README.md');

test('the chat of the README works as printed', async ({ server, context }, info) => {
  const app = await server.createApp('chat', {});
  const code = /```jsx\n(.*?)```/s.exec(await readFile(README, 'utf8'))?.[1] ?? '';
  const chat = code.replace('YOUR APP ID', app.id).replace('localhost:8888', hostOf(server.url));
  await writeFile(info.outputPath('chat.jsx'), chat);
  await writeFile(
    info.outputPath('main.jsx'),
    `import { createRoot } from 'react-dom/client';
     import { Chat } from './chat.jsx';
     createRoot(document.getElementById('root')).render(<Chat />);`,
  );
  const bundle = await bundleOf(info.outputPath('main.jsx'));

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
    await page.goto(`${server.url}/readme/`);
  }

  for (const [page, text] of [
    [pages[0], 'hello'],
    [pages[1], 'hello yourself'],
  ] as const) {
    await page.getByRole('textbox').fill(text);
    await page.getByRole('textbox').press('Enter');
    await expect(pages[0].getByText(text, { exact: true })).toBeVisible();
    await expect(pages[1].getByText(text, { exact: true })).toBeVisible();
  }
  await expect(pages[0].getByRole('paragraph')).toHaveText(['hello', 'hello yourself']);
});

function hostOf(url: string): string {
  return new URL(url).host;
}

async function bundleOf(entry: string): Promise<string> {
  const result = (await build({
    configFile: false,
    logLevel: 'error',
    plugins: [react()],
    build: { write: false, rolldownOptions: { input: entry } },
  })) as Rolldown.RolldownOutput;
  const [chunk] = result.output;
  return chunk.code;
}
