import { expect, test } from 'vitest';
import { addressesOf } from '../../src/client/config.ts';
import { originOf } from '../../src/http/origin.ts';

test('[J260] one address is enough, and those of the original are taken', () => {
  expect(originOf({})).toBe('http://localhost:8888');
  expect(originOf({ apiURI: 'https://a.test/' })).toBe('https://a.test');
  expect(originOf({ server: 'https://b.test', apiURI: 'https://a.test' })).toBe('https://b.test');
  const [appId, websocketURI] = ['1', 'wss://c.test/runtime/session'];
  expect(addressesOf({ appId }, 'https://b.test')).toEqual({
    websocket: 'wss://b.test/runtime/session?app_id=1',
    events: 'https://b.test/runtime/sse?app_id=1',
  });
  expect(addressesOf({ appId, websocketURI }, 'https://b.test').websocket).toBe(
    `${websocketURI}?app_id=1`,
  );
});
