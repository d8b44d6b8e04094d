import { i, type InstaQLEntity } from '@instantdb/react';

export const schema = i.schema({
  entities: {
    channels: i.entity({
      name: i.string().unique().indexed(),
    }),
    messages: i.entity({
      text: i.string(),
      author: i.string(),
      sentAt: i.date(),
    }),
  },
  links: {
    messageChannel: {
      forward: { on: 'messages', has: 'one', label: 'channel', onDelete: 'cascade' },
      reverse: { on: 'channels', has: 'many', label: 'messages' },
    },
  },
  rooms: {
    // Each channel is a room: who looks at it, and what they wave to each other.
    channel: {
      presence: i.entity({ name: i.string() }),
      topics: { wave: i.entity({ emoji: i.string() }) },
    },
  },
});

export type Channel = InstaQLEntity<typeof schema, 'channels'>;
export type Message = InstaQLEntity<typeof schema, 'messages'>;

/** Everyone's first channel. Its id is fixed, so that two pages cannot make it twice. */
export const GENERAL: Channel = { id: '6e6e6172-616c-4000-8000-000000000001', name: 'general' };
