import { id } from '@instantdb/react';
import { useState } from 'react';
import { db } from './db';
import { whyRefused } from './failures';
import { GENERAL, type Channel } from './schema';

type Chunks = Parameters<typeof db.transact>[0];

/** Everything the page can change. Each call shows at once and is sent in the background. */
export function useWrites() {
  const [refusal, setRefusal] = useState<string | null>(null);

  function transact(chunks: Chunks) {
    db.transact(chunks).catch((error: unknown) => setRefusal(whyRefused(error)));
  }

  return {
    /** Why the server refused a write; the screen has already gone back. */
    refusal,
    dismiss: () => setRefusal(null),

    /** Make a channel and return its id. */
    addChannel(name: string): string {
      const channelId = id();
      transact(db.tx.channels[channelId]!.create({ name }));
      return channelId;
    },

    send(text: string, to: { readonly author: string; readonly channel: Channel }) {
      const message = db.tx.messages[id()]!.create({
        text,
        author: to.author,
        sentAt: Date.now(),
      }).link({ channel: to.channel.id });
      // The first channel comes into being with the first message in it.
      const isGeneral = to.channel.id === GENERAL.id;
      const general = db.tx.channels[GENERAL.id]!.update({ name: GENERAL.name });
      transact(isGeneral ? [general, message] : message);
    },
  };
}
