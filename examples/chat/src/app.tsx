import { useRef, useState } from 'react';
import { useParameter } from './address';
import { ChannelList } from './channel-list';
import { Connection } from './connection';
import { db } from './db';
import { Refusal } from './failures';
import { MessageList } from './message-list';
import { NoApp } from './no-app';
import { People, Shared, Wave, roomOf, typingText, type Room } from './room';
import { GENERAL } from './schema';
import { useWrites } from './writes';

export function App() {
  const [wantedId, setWantedId] = useParameter('channel');
  const writes = useWrites();
  const [author, setAuthor] = useState(() => localStorage.getItem('author') ?? '');
  const name = author.trim() === '' ? 'Somebody' : author.trim();
  const log = useRef<HTMLDivElement>(null);
  const { data, isLoading } = db.useQuery({ channels: { $: { order: { name: 'asc' } } } });
  if (db.useConnectionStatus() === 'errored') return <NoApp />;

  const stored = data?.channels ?? [];
  const hasGeneral = isLoading || stored.some((channel) => channel.id === GENERAL.id);
  const channels = hasGeneral ? stored : [GENERAL, ...stored];
  // Which channel the address means is known with the channels; the client throws on other ids.
  const isKnown = !isLoading || wantedId === null;
  const channel = channels.find((candidate) => candidate.id === wantedId) ?? GENERAL;
  const room = roomOf(channel.id);

  return (
    <div className="page">
      <ChannelList
        channels={channels}
        selectedId={channel.id}
        onSelect={setWantedId}
        onAdd={(name) => {
          const existing = channels.find((candidate) => candidate.name === name);
          setWantedId(existing?.id ?? writes.addChannel(name));
        }}
      />
      <main>
        <header>
          <h1>
            # <bdi>{isKnown ? channel.name : '…'}</bdi>
          </h1>
          {isKnown && <People key={`people ${channel.id}`} room={room} name={name} />}
          {isKnown && <Wave key={`wave ${channel.id}`} room={room} />}
          <Connection />
        </header>
        {isKnown ? (
          <Shared key={channel.id} room={room}>
            <MessageList channelId={channel.id} logRef={log} />
          </Shared>
        ) : (
          <p className="quiet empty">Loading…</p>
        )}
        {writes.refusal !== null && <Refusal text={writes.refusal} onDismiss={writes.dismiss} />}
        {isKnown && (
          <Composer
            room={room}
            channelName={channel.name}
            author={author}
            onAuthor={(text) => {
              setAuthor(text);
              localStorage.setItem('author', text);
            }}
            onSend={(text) => {
              writes.send(text, { author: name, channel });
              // Whoever read older messages sees what they said; 0 is the end (style.css).
              log.current?.scrollTo({ top: 0 });
            }}
          />
        )}
      </main>
    </div>
  );
}

function Composer(props: {
  readonly room: Room;
  readonly channelName: string;
  readonly author: string;
  readonly onAuthor: (text: string) => void;
  readonly onSend: (text: string) => void;
}) {
  const [text, setText] = useState('');
  const { active, inputProps, setActive } = db.rooms.useTypingIndicator(props.room, 'message');
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() === '') return;
        props.onSend(text.trim());
        setText('');
        setActive(false);
      }}
    >
      <p className="typing quiet" role="status" aria-label="Typing">
        <bdi>{typingText(active)}</bdi>
      </p>
      <input
        aria-label="Your name"
        className="author"
        placeholder="Your name"
        autoComplete="nickname"
        dir="auto"
        maxLength={50}
        value={props.author}
        onChange={(event) => props.onAuthor(event.target.value)}
      />
      <input
        aria-label="Message"
        placeholder={`Message #${props.channelName}`}
        autoComplete="off"
        dir="auto"
        maxLength={2000}
        {...inputProps}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <button type="submit" className="primary">
        Send
      </button>
    </form>
  );
}
