import { createApp, expect, test } from './fixtures';

test('[P90, P92] a browser agrees on compression', async ({ server, page }) => {
  const app = await createApp('todo', server);
  await page.goto(`${server.url}/health`);
  const init = JSON.stringify({ op: 'init', 'app-id': app.id, 'client-event-id': 'x' });
  const { extensions, message } = await page.evaluate(
    ({ url, init }) =>
      new Promise<{ extensions: string; message: string }>((done, fail) => {
        const socket = new WebSocket(url);
        socket.onopen = () => socket.send(init);
        socket.onmessage = ({ data }) => done({ extensions: socket.extensions, message: data });
        socket.onclose = ({ code }) => fail(new Error(`closed with ${code}`));
      }),
    { url: `${server.url.replace('http', 'ws')}/runtime/session`, init },
  );
  expect(extensions).toContain('permessage-deflate');
  // The catalog makes it large enough to be deflated.
  expect(message.length).toBeGreaterThan(512);
  expect(JSON.parse(message).op).toBe('init-ok');
});
