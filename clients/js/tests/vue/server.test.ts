import { expect, test } from 'vitest';
import { createSSRApp, h } from 'vue';
import { renderToString } from 'vue/server-renderer';
import { vue } from '../support/frameworks/vue.ts';
import { environmentOf } from '../simulation/network.ts';
import { Stage } from '../support/stage.ts';

test('[J215] a page made on a server with Vue leaves no query behind', async () => {
  const stage = new Stage();
  const environment = environmentOf(stage.clock, stage.random, stage.network);
  const db = vue.database({ appId: 'app' }, environment);
  const page = createSSRApp({
    setup() {
      const people = db.useQuery({ people: {} });
      db.rooms.useSyncPresence(db.room('chat', 'r'), { name: 'Ann' });
      return () => h('p', people.value.isLoading ? 'loading' : 'there');
    },
  });
  expect(await renderToString(page)).toBe('<p>loading</p>');
  await stage.clock.pass(30_000);
  expect(stage.ops('add-query').length).toBe(1);
  const asked = stage.ops('remove-query').filter(({ q }) => Object.hasOwn(q as object, 'people'));
  expect(asked).toHaveLength(1);
  expect(stage.ops('join-room').length).toBe(stage.ops('leave-room').length);
  db.shutdown();
});
