import { expectTypeOf, test } from 'vitest';
import type { ReactDatabase } from '../../src/react/index.ts';
import { usePresence } from '../../src/react/room-hooks.ts';
import type { shop } from './shop.ts';

declare const db: ReactDatabase<typeof shop>;
declare const open: ReactDatabase;

test('[J65] a room takes and gives what its type has', () => {
  const room = db.joinRoom('counter', 'id', { initialPresence: { name: 'Ann' } });
  room.publishPresence({ x: 3 });
  room.publishTopic('bell', { times: 3 });
  // @ts-expect-error: a number
  room.publishPresence({ x: '3' });
  // @ts-expect-error: no such field
  room.publishTopic('bell', { time: 3 });
  // @ts-expect-error: no such topic
  room.publishTopic('horn', { times: 3 });
  // @ts-expect-error: no such type of room
  db.joinRoom('conter', 'id');
  const { user } = usePresence(db.room('counter', 'id'));
  expectTypeOf(user?.name).toEqualTypeOf<string | undefined>();
  open.joinRoom('any', 'id').publishPresence({ anything: 1 });
  open.joinRoom('any', 'id').publishTopic('any', 1);
  db.joinRoom();
});
