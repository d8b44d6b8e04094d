import { expect, test } from 'vitest';
import { TEXT_LENGTH_MAX, withoutTokens, withoutValues } from '../../src/trace/redact.ts';

const TOKEN = 'c0ffee';

test.each([
  { 'refresh-token': TOKEN },
  { '__admin-token': TOKEN, op: 'init' },
  { user: { refresh_token: TOKEN } },
  { 'reconnect-token': `a "quoted" \\ ${TOKEN}` },
  { password: TOKEN, clientSecret: TOKEN },
  { url: `https://example.com/f?a=1&token=${TOKEN}&b=2` },
  { url: `https://example.com/f?X-Amz-Signature=${TOKEN}&X-Amz-Credential=${TOKEN}` },
  { refreshToken: TOKEN, sig: 1, 'Session-Token': TOKEN },
])('[J237] %j lets nobody in', (message) => {
  const shown = withoutTokens(JSON.stringify(message));
  expect(shown).not.toContain(TOKEN);
  expect(() => JSON.parse(shown) as unknown).not.toThrow();
});

test('[J237] what is no token stays', () => {
  const json = JSON.stringify({
    op: 'transact',
    title: 'a token of thanks',
    tokens: 3,
    note: '?b=1',
  });
  expect(withoutTokens(json)).toBe(json);
});

test('[J237] a token that is cut off by the end of the text is hidden too', () => {
  for (let pad = TEXT_LENGTH_MAX - 60; pad < TEXT_LENGTH_MAX; pad++) {
    const json = JSON.stringify({ a: 'x'.repeat(pad), 'refresh-token': `"\\${TOKEN}`.repeat(9) });
    const shown = withoutTokens(json);
    expect(shown.length).toBeLessThanOrEqual(TEXT_LENGTH_MAX + 10);
    expect(shown).not.toContain('c0f');
  }
});

test('[J237] without values names and structure are left', () => {
  const message = {
    op: 'x',
    q: { todos: { $: { where: { n: -1.5e3, done: true } } } },
    l: ['a"b', null],
  };
  expect(JSON.parse(withoutValues(JSON.stringify(message)))).toEqual({
    op: '…',
    q: { todos: { $: { where: { n: '…', done: '…' } } } },
    l: ['…', '…'],
  });
});
