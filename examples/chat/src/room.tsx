import { Cursors } from '@instantdb/react';
import { useEffect, useState, type ReactNode } from 'react';
import { Avatar, hueOf } from './avatar';
import { db } from './db';

const SHOWN = 5;
const WAVE_MS = 4000;

/** The room of a channel: everybody who looks at the channel is in it. */
export function roomOf(channelId: string) {
  return db.room('channel', channelId);
}

export type Room = ReturnType<typeof roomOf>;

/** Everybody who looks at this channel, oneself first. */
export function People(props: { readonly room: Room; readonly name: string }) {
  const { name, room } = props;
  db.rooms.useSyncPresence(room, { name });
  const { peers } = db.rooms.usePresence(room, { keys: ['name'] });
  const names = [name, ...Object.values(peers).map((peer) => peer.name ?? 'Somebody')];
  const more = names.length - SHOWN;
  return (
    <ul className="people" aria-label="Here now">
      {names.slice(0, SHOWN).map((shown, index) => (
        <li key={index} title={shown}>
          <Avatar name={shown} />
          <span className="hidden">
            <bdi>{shown}</bdi>
            {index === 0 && ' (you)'}
          </span>
        </li>
      ))}
      {more > 0 && <li className="quiet">+{more}</li>}
    </ul>
  );
}

/** Waves to everybody in the room; what others wave is shown for a moment. */
export function Wave(props: { readonly room: Room }) {
  const [waved, setWaved] = useState<string | null>(null);
  const publish = db.rooms.usePublishTopic(props.room, 'wave');
  db.rooms.useTopicEffect(props.room, 'wave', ({ emoji }, peer) => {
    setWaved(`${peer?.name ?? 'Somebody'} ${emoji}`);
  });
  useEffect(() => {
    if (waved === null) return undefined;
    const timer = setTimeout(() => setWaved(null), WAVE_MS);
    return () => clearTimeout(timer);
  }, [waved]);
  return (
    <div className="wave">
      <p role="status" aria-label="Waves">
        <bdi>{waved}</bdi>
      </p>
      <button type="button" aria-label="Wave" onClick={() => publish({ emoji: '👋' })}>
        👋
      </button>
    </div>
  );
}

/** Who is writing, for those who read. */
export function typingText(peers: readonly { readonly name?: string }[]): string {
  const names = peers.map((peer) => peer.name ?? 'Somebody');
  if (names.length === 0) return '';
  if (names.length > 2) return 'Several people are typing…';
  return `${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} typing…`;
}

/** An area in which the mouse of everybody else in the room is seen. */
export function Shared(props: { readonly room: Room; readonly children: ReactNode }) {
  return (
    <Cursors
      room={props.room}
      className="shared"
      zIndex={1}
      propagate
      renderCursor={({ presence }) => <Pointer name={presence?.name ?? 'Somebody'} />}
    >
      {props.children}
    </Cursors>
  );
}

function Pointer({ name }: { readonly name: string }) {
  return (
    <span
      className="pointer"
      style={{ '--hue': hueOf(name) } as React.CSSProperties}
      aria-hidden="true"
    >
      <bdi>{name}</bdi>
    </span>
  );
}
