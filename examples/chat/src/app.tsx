import { useState } from 'react';
import { ChannelList } from './channel-list';
import { Connection } from './connection';
import { db } from './db';
import { MessageList } from './message-list';
import { GENERAL } from './schema';
import { useWrites } from './writes';

export function App() {
  const [channelId, setChannelId] = useState(GENERAL.id);
  const writes = useWrites();
  const stored = db.useQuery({ channels: { $: { order: { name: 'asc' } } } }).data?.channels ?? [];
  const channels = stored.some((channel) => channel.id === GENERAL.id)
    ? stored
    : [GENERAL, ...stored];
  const channel = channels.find((candidate) => candidate.id === channelId) ?? GENERAL;

  return (
    <div className="page">
      <ChannelList
        channels={channels}
        selectedId={channel.id}
        onSelect={setChannelId}
        onAdd={(name) => setChannelId(writes.addChannel(name))}
      />
      <main>
        <header>
          <h1># {channel.name}</h1>
          <Connection />
        </header>
        <MessageList key={channel.id} channelId={channel.id} />
        {writes.refusal !== null && (
          <div className="refusal" role="alert">
            <p>{writes.refusal}</p>
            <button type="button" onClick={writes.dismiss}>
              Dismiss
            </button>
          </div>
        )}
        <Composer
          channelName={channel.name}
          onSend={(text, author) => writes.send(text, { author, channel })}
        />
      </main>
    </div>
  );
}

function Composer(props: {
  readonly channelName: string;
  readonly onSend: (text: string, author: string) => void;
}) {
  const [text, setText] = useState('');
  const [author, setAuthor] = useState(() => localStorage.getItem('author') ?? '');
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() === '') return;
        props.onSend(text.trim(), author.trim() === '' ? 'Somebody' : author.trim());
        setText('');
      }}
    >
      <input
        aria-label="Your name"
        className="author"
        placeholder="Your name"
        value={author}
        onChange={(event) => {
          setAuthor(event.target.value);
          localStorage.setItem('author', event.target.value);
        }}
      />
      <input
        aria-label="Message"
        placeholder={`Message #${props.channelName}`}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <button type="submit" className="primary">
        Send
      </button>
    </form>
  );
}
