import { Avatar } from './avatar';
import { db } from './db';
import { NotLoaded } from './failures';
import type { Message } from './schema';

const PAGE_MESSAGES = 50;

/**
 * The newest messages of a channel, oldest at the top; older pages load on request.
 *
 * The log is there, with what was said so far, before anything new comes: only what is added to a
 * log is read aloud. It can be scrolled with the keyboard, so it can have the focus.
 */
export function MessageList(props: {
  readonly channelId: string;
  readonly logRef: { readonly current: HTMLDivElement | null };
}) {
  const { data, error, isLoading, canLoadNextPage, loadNextPage } = db.useInfiniteQuery({
    messages: {
      $: {
        where: { channel: props.channelId },
        order: { serverCreatedAt: 'desc' },
        limit: PAGE_MESSAGES,
      },
    },
  });
  if (error) return <NotLoaded error={error} />;
  if (isLoading) return <p className="quiet empty">Loading…</p>;
  return (
    <div className="messages" role="log" aria-label="Messages" tabIndex={0} ref={props.logRef}>
      <div>
        {canLoadNextPage && (
          <button
            type="button"
            className="older"
            onClick={() => {
              loadNextPage();
              // The button goes with the last page, and would take the focus along.
              props.logRef.current?.focus({ preventScroll: true });
            }}
          >
            Show older messages
          </button>
        )}
        {data.messages.length === 0 ? (
          <p className="quiet">
            No messages yet.{' '}
            <a href="" target="_blank">
              Open a second window
            </a>{' '}
            to answer yourself.
          </p>
        ) : (
          <ol>
            {data.messages.toReversed().map((message) => (
              <MessageItem key={message.id} message={message} />
            ))}
          </ol>
        )}
      </div>
    </div>
  );
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

function MessageItem({ message }: { readonly message: Message }) {
  const sentAt = new Date(message.sentAt);
  return (
    <li>
      <Avatar name={message.author} />
      <div>
        <p className="byline">
          <strong>
            <bdi>{message.author}</bdi>
          </strong>{' '}
          <time dateTime={sentAt.toISOString()}>{TIME.format(sentAt)}</time>
        </p>
        <p className="text" dir="auto">
          {message.text}
        </p>
      </div>
    </li>
  );
}
