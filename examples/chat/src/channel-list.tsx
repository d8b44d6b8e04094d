import { useState } from 'react';
import type { Channel } from './schema';

/** The channels, and a form for one more. */
export function ChannelList(props: {
  readonly channels: readonly Channel[];
  readonly selectedId: string;
  readonly onSelect: (channelId: string) => void;
  readonly onAdd: (name: string) => void;
}) {
  const [name, setName] = useState('');
  return (
    <nav aria-label="Channels">
      <ul>
        {props.channels.map((channel) => (
          <li key={channel.id}>
            <button
              type="button"
              aria-current={channel.id === props.selectedId ? 'true' : undefined}
              onClick={() => props.onSelect(channel.id)}
            >
              # {channel.name}
            </button>
          </li>
        ))}
      </ul>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const wanted = name.trim().replace(/^#+\s*/, '');
          if (wanted === '') return;
          props.onAdd(wanted);
          setName('');
        }}
      >
        <input
          aria-label="New channel"
          placeholder="New channel"
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <button type="submit" aria-label="Add channel">
          +
        </button>
      </form>
    </nav>
  );
}
