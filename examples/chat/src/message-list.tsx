import { useLayoutEffect, useRef } from 'react';
import { db } from './db';
import type { Message } from './schema';

const PAGE_MESSAGES = 50;

/** The newest messages of a channel, oldest at the top; older pages load on request. */
export function MessageList(props: { readonly channelId: string }) {
  const { data, error, isLoading, canLoadNextPage, loadNextPage } = db.useInfiniteQuery({
    messages: {
      $: {
        where: { channel: props.channelId },
        order: { serverCreatedAt: 'desc' },
        limit: PAGE_MESSAGES,
      },
    },
  });
  const end = useRef<HTMLDivElement>(null);
  const newestId = data?.messages[0]?.id;
  useLayoutEffect(() => {
    end.current?.scrollIntoView({ block: 'end' });
  }, [newestId]);

  if (error) return <p role="alert">{error.message}</p>;
  if (isLoading) return <p className="quiet empty">Loading…</p>;
  if (data.messages.length === 0) return <p className="quiet empty">No messages yet.</p>;
  return (
    <div className="messages">
      {canLoadNextPage && (
        <button type="button" className="older" onClick={loadNextPage}>
          Show older messages
        </button>
      )}
      <ol role="log" aria-label="Messages">
        {data.messages.toReversed().map((message) => (
          <MessageItem key={message.id} message={message} />
        ))}
      </ol>
      <div ref={end} />
    </div>
  );
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

function MessageItem({ message }: { readonly message: Message }) {
  const sentAt = new Date(message.sentAt);
  return (
    <li>
      <span className="avatar" style={{ '--hue': hueOf(message.author) } as React.CSSProperties}>
        {[...message.author][0]}
      </span>
      <div>
        <p className="byline">
          <strong>{message.author}</strong>{' '}
          <time dateTime={sentAt.toISOString()}>{TIME.format(sentAt)}</time>
        </p>
        <p className="text">{message.text}</p>
      </div>
    </li>
  );
}

/** A colour of its own for each name: degrees on the colour wheel, the same on every screen. */
function hueOf(name: string): number {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 360;
  return sum;
}
