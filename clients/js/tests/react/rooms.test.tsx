// @vitest-environment happy-dom
import { act, cleanup, fireEvent, render } from '@testing-library/react';
import { type ReactNode, StrictMode } from 'react';
import { afterEach, beforeAll, expect, test } from 'vitest';
import type { RoomHandle } from '../../src/client/rooms.ts';
import { Cursors } from '../../src/react/cursors.tsx';
import { ReactDatabase } from '../../src/react/database.ts';
import type { PresenceHandle } from '../../src/react/room-hooks.ts';
import { environmentOf } from '../simulation/network.ts';
import { Stage } from '../support/stage.ts';

afterEach(cleanup);
beforeAll(() => import('../../src/rooms/rooms.ts'));

/** A stage whose clock is moved while React looks, with a member that is no component. */
class ReactStage extends Stage {
  readonly other: RoomHandle = this.device().joinRoom('chat', 'r');

  reactDb(): ReactDatabase {
    const environment = environmentOf(this.clock, this.random, this.network);
    return new ReactDatabase({ appId: 'app' }, environment);
  }

  pass(ms: number): Promise<void> {
    return act(() => this.clock.pass(ms)) as Promise<void>;
  }

  /** What the components show, as the other member sees it. */
  get shown(): Record<string, unknown> | undefined {
    return Object.values(this.other.getPresence()!.peers)[0];
  }
}

test('[J100] usePresence is live, and renders when what it asked for changes', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  let renders = 0;
  let presence: PresenceHandle | undefined;
  function Names(): ReactNode {
    renders++;
    presence = db.room('chat', 'r').usePresence({
      keys: ['name'],
      user: false,
      initialPresence: { name: 'Ada', mood: 'new' },
    });
    const names = Object.values(presence.peers).map(({ name }) => name as string);
    return <p>{presence.isLoading ? 'loading' : names.join(' ')}</p>;
  }
  const { container, unmount } = render(<Names />);
  expect(container.textContent).toBe('loading');
  stage.other.publishPresence({ name: 'Bob', x: 1 });
  await stage.pass(20_000);
  expect(container.textContent).toBe('Bob');
  expect(stage.shown).toMatchObject({ name: 'Ada', mood: 'new' });

  const { publishPresence } = presence!;
  const before = renders;
  stage.other.publishPresence({ x: 2 });
  await stage.pass(20_000);
  act(() => publishPresence({ mood: 'well' }));
  await stage.pass(20_000);
  expect(renders).toBe(before);
  expect(stage.shown).toMatchObject({ name: 'Ada', mood: 'well' });
  stage.other.publishPresence({ name: 'Bert' });
  await stage.pass(20_000);
  expect(renders).toBe(before + 1);
  expect(presence!.publishPresence).toBe(publishPresence);

  unmount();
  await stage.pass(20_000);
  expect(stage.shown).toBeUndefined();
});

test('[J91, J100] under StrictMode a component joins once, and is not seen to leave', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  await stage.pass(20_000);
  stage.sent.length = 0;
  function Room(): ReactNode {
    const room = db.room('chat', 'r');
    db.rooms.useSyncPresence(room, { name: 'Ada' });
    db.rooms.usePublishTopic(room, 'hello');
    return null;
  }
  render(
    <StrictMode>
      <Room />
      <Room />
    </StrictMode>,
  );
  await stage.pass(20_000);
  expect(stage.ops('join-room')).toHaveLength(1);
  expect(stage.ops('leave-room')).toHaveLength(0);
});

test('[J100] useSyncPresence shows what it was given last', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  function Mood({ mood }: { mood: string }): ReactNode {
    db.room('chat', 'r').useSyncPresence({ mood });
    return null;
  }
  const view = render(<Mood mood="calm" />);
  await stage.pass(20_000);
  expect(stage.shown).toMatchObject({ mood: 'calm' });
  view.rerender(<Mood mood="glad" />);
  view.rerender(<Mood mood="glad" />);
  await stage.pass(20_000);
  expect(stage.shown).toMatchObject({ mood: 'glad' });
  expect(stage.ops('set-presence')).toHaveLength(1);
});

test('[J100] topics: messages go out, and come to the newest listener', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  const heard: unknown[] = [];
  let publish: ((data: unknown) => void) | undefined;
  function Chat({ name }: { name: string }): ReactNode {
    const room = db.room('chat', 'r');
    publish = room.usePublishTopic('say');
    room.useTopicEffect('say', (event, peer) => heard.push([name, event, peer?.who]));
    return null;
  }
  const view = render(<Chat name="one" />);
  const other: unknown[] = [];
  stage.other.subscribeTopic('say', (event) => other.push(event));
  stage.other.publishPresence({ who: 'Bob' });
  await stage.pass(20_000);
  view.rerender(<Chat name="two" />);
  publish!({ n: 1 });
  stage.other.publishTopic('say', { n: 2 });
  await stage.pass(20_000);
  expect(other).toEqual([{ n: 1 }]);
  expect(heard).toEqual([['two', { n: 2 }, 'Bob']]);
});

test('[J100] useTypingIndicator tells of typing until a while, Enter or blur', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  function Field(): ReactNode {
    const typing = db.room('chat', 'r').useTypingIndicator('field', { stopOnEnter: true });
    return (
      <>
        <input {...typing.inputProps} />
        <p>{typing.active.map(({ name }) => name as string).join(' ')}</p>
      </>
    );
  }
  const { container } = render(<Field />);
  const input = container.querySelector('input')!;
  stage.other.publishPresence({ name: 'Bob', field: true });
  await stage.pass(20_000);
  expect(container.textContent).toBe('Bob');
  stage.other.publishPresence({ field: null });
  await stage.pass(20_000);
  expect(container.textContent).toBe('');

  const values = () =>
    stage.ops('set-presence').map(({ data }) => (data as { field: unknown }).field);
  stage.sent.length = 0;
  fireEvent.keyDown(input, { key: 'a' });
  await stage.pass(900);
  fireEvent.keyDown(input, { key: 'b' });
  await stage.pass(20_000);
  expect(values()).toEqual([true, null]);
  fireEvent.keyDown(input, { key: 'c' });
  await stage.pass(500);
  fireEvent.keyDown(input, { key: 'Enter' });
  await stage.pass(20_000);
  fireEvent.keyDown(input, { key: 'd' });
  await stage.pass(500);
  fireEvent.blur(input);
  await stage.pass(20_000);
  expect(values()).toEqual([true, null, true, false, true, false]);
});

test('[J100] Cursors shows the cursors of the others, and tells of this one', async () => {
  const stage = new ReactStage();
  const db = stage.reactDb();
  const SPACE = 'cursors-space-default--chat-r';
  const { container } = render(
    <Cursors
      room={db.room('chat', 'r')}
      className="area"
      userCursorColor="red"
      renderCursor={({ color, presence }) => (
        <b>
          {presence.name as string} {color}
        </b>
      )}
    >
      <i>inside</i>
    </Cursors>,
  );
  const area = container.querySelector('.area')!;
  area.getBoundingClientRect = () => ({ left: 100, top: 50, width: 200, height: 100 }) as DOMRect;
  const cursor = { x: 1, y: 2, xPercent: 10, yPercent: 20, color: 'blue' };
  stage.other.publishPresence({ name: 'Bob', [SPACE]: cursor });
  await stage.pass(20_000);
  expect(container.querySelector('b')!.textContent).toBe('Bob blue');
  expect(container.innerHTML).toContain('translate(10%, 20%)');

  fireEvent.mouseMove(area, { clientX: 150, clientY: 75 });
  await stage.pass(20_000);
  expect(stage.shown![SPACE]).toEqual({
    x: 150,
    y: 75,
    xPercent: 25,
    yPercent: 25,
    color: 'red',
  });
  fireEvent.mouseOut(area);
  await stage.pass(20_000);
  expect(stage.shown).not.toHaveProperty(SPACE);
  stage.other.publishPresence({ [SPACE]: undefined });
  await stage.pass(20_000);
  expect(container.querySelector('b')).toBeNull();
});
