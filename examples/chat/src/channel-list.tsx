import { useEffect, useRef, useState } from 'react';
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
            <ChannelButton
              name={channel.name}
              isSelected={channel.id === props.selectedId}
              onSelect={() => props.onSelect(channel.id)}
            />
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
          dir="auto"
          maxLength={50}
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

function ChannelButton(props: {
  readonly name: string;
  readonly isSelected: boolean;
  readonly onSelect: () => void;
}) {
  const { name, isSelected, onSelect } = props;
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // The list scrolls, on a phone sideways: the open channel is kept in sight.
    if (isSelected) button.current?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [isSelected]);
  return (
    <button
      type="button"
      ref={button}
      aria-current={isSelected ? 'true' : undefined}
      onClick={onSelect}
    >
      # <bdi>{name}</bdi>
    </button>
  );
}
