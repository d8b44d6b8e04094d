import { expect, test } from 'vitest';
import { type AddressGlobals, pageAddress } from '../../src/web/address.ts';

test('[J251] parameters are taken out of the address, the rest stays', () => {
  const location = { href: 'https://app.test/in?code=c1&page=2#part' };
  const history = {
    state: { mine: 1 },
    replaceState(state: unknown, _: string, url: string) {
      expect(state).toBe(history.state);
      location.href = url;
    },
  };
  const address = pageAddress({ location, history, URL } as unknown as AddressGlobals)!;
  expect([address.get('code'), address.get('none')]).toEqual(['c1', null]);
  address.remove(['code', 'none']);
  expect(location.href).toBe('https://app.test/in?page=2#part');
});

test('[J251] where there is no page there is no address', () => {
  expect(pageAddress({})).toBeUndefined();
});
