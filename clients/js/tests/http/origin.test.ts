import { expect, test } from 'vitest';
import { TriceError } from '../../src/errors.ts';
import { originOf } from '../../src/http/origin.ts';
import { init } from '../../src/index.ts';
import { init as initAdmin } from '../../src/admin/index.ts';

test.each(['localhost:8888', 'ws://localhost:8888', '//data.example.org', '', 'http://'])(
  '[J157] %j is no address of a server',
  (server) => {
    const config = { appId: 'app', server };
    for (const open of [() => init(config), () => initAdmin({ ...config, adminToken: 'token' })])
      try {
        open();
        expect.unreachable();
      } catch (error) {
        expect(error).toBeInstanceOf(TriceError);
        expect(error).toMatchObject({ code: 'config-malformed', hint: { server } });
        expect(String(error)).toContain('begins with http:// or https://');
      }
  },
);

test('[J157] an address has no slash at its end', () => {
  expect(originOf({ server: 'https://data.example.org/base//' })).toBe(
    'https://data.example.org/base',
  );
  expect(originOf({ apiURI: 'http://localhost:1' })).toBe('http://localhost:1');
  expect(originOf({})).toBe('http://localhost:8888');
});
