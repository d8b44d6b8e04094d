import type { Parts } from './parts.ts';
import type { FrameEvent, TraceEvent } from '../trace/events.ts';
import { countedText, countText, msText, queryLine, sizeText, timeText } from './format.ts';
import type { Model } from './model.ts';
import { filtered, type Row, type Sheet } from './sheet.ts';

/** Frames, the newest first. */
export function wireSheet(_: Parts, model: Model, filter: string): Sheet {
  const { shown, count } = filtered(framesOf(model), filter, ({ op, text }) => `${op} ${text}`);
  const { frames } = model;
  return {
    note:
      `In ${countText(frames.in)} (${sizeText(frames.inLength)}), ` +
      `out ${countText(frames.out)} (${sizeText(frames.outLength)})` +
      (shown.length < count ? `; the newest ${countText(shown.length)}` : ''),
    rows: shown.map(frameRow),
  };
}

function* framesOf(model: Model): Iterable<FrameEvent> {
  for (const event of model.newest()) if (event.type === 'frame') yield event;
}

function frameRow({ seq, direction, op, length, text, at }: FrameEvent): Row {
  return {
    key: String(seq),
    kind: direction === 'in' ? '↓ in' : '↑ out',
    title: op,
    facts: [sizeText(length), timeText(at)],
    tone: op.includes('error') ? 'bad' : undefined,
    body: () =>
      text.length < length ? `${text}\n… the first ${sizeText(text.length)}` : prettyOf(text),
  };
}

function prettyOf(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

/** How the connection is, and what happened to it. */
export function connectionSheet(
  { session, environment }: Parts,
  model: Model,
  filter: string,
): Sheet {
  const { connection, held, error } = session;
  const { lastLoss } = model;
  const lost =
    lastLoss &&
    `${timeText(lastLoss.at)}, code ${lastLoss.code}, tried again after ` +
      msText(lastLoss.retryMs ?? 0);
  const facts: readonly (readonly [string, string])[] = [
    ['Status', session.status],
    ['Transport', connection.transport === 'events' ? 'event stream' : 'WebSocket'],
    ['Session', session.id ?? 'none'],
    [
      'Open since',
      model.liveAt === null ? 'before the panel, or not open' : timeText(model.liveAt),
    ],
    ['Last heard', connection.heardAt === 0 ? 'never' : timeText(connection.heardAt)],
    ['Clock', timeText(environment.now())],
    ['Newest transaction', countText(held.tx)],
    ['Connections lost', countText(model.losses)],
    ...(lost ? [['Lost last', lost] as const] : []),
  ];
  const events = [...model.newest()].filter(({ type }) => type === 'connection');
  const { shown } = filtered(events, filter, titleOf);
  return {
    note: error ? `${error.code}: ${error.message}` : `Connection: ${session.status}`,
    rows: [
      ...facts.map(([title, fact]) => ({ key: title, title, facts: [fact] })),
      ...shown.map(eventRow),
    ],
  };
}

/** Everything that happened, the newest first. */
export function timelineSheet(_: Parts, model: Model, filter: string): Sheet {
  const { shown, count } = filtered(
    model.newest(),
    filter,
    (event) => `${event.type} ${titleOf(event)}`,
  );
  return {
    note:
      countedText(count, 'event') +
      (shown.length < count ? `; the newest ${countText(shown.length)}` : ''),
    rows: shown.map(eventRow),
  };
}

function eventRow(event: TraceEvent): Row {
  return {
    key: String(event.seq),
    kind: event.type,
    title: titleOf(event),
    facts: [...factsOf(event), timeText(event.at)],
    tone: isBad(event) ? 'bad' : undefined,
    body: () => JSON.stringify(event, null, 2),
  };
}

function titleOf(event: TraceEvent): string {
  switch (event.type) {
    case 'frame':
      return `${event.direction} ${event.op}`;
    case 'land':
      return `${event.kind} of ${queryLine(event.hash)}`;
    case 'refresh':
      return `${event.because} woke ${queryLine(event.hash)}`;
    case 'write':
      return `${event.state}${event.label ? ` ${event.label}` : ''} ${event.id.slice(0, 8)}`;
    case 'store':
      return event.failure ? `the disk is ${event.failure}` : 'written';
    case 'connection':
      return `${event.state} ${event.state === 'attempt' ? `by ${event.transport}` : ''}`.trim();
    default:
      return event satisfies never;
  }
}

function factsOf(event: TraceEvent): readonly string[] {
  switch (event.type) {
    case 'frame':
      return [sizeText(event.length)];
    case 'land':
      return [`transaction ${event.tx}`];
    case 'refresh':
      return [
        event.candidates === null ? 'all' : `${countText(event.candidates)} looked at`,
        countedText(event.rows, 'row'),
        msText(event.ms),
      ];
    case 'write':
      return event.error ? [event.error.code] : [countedText(event.operations, 'operation')];
    case 'store':
      return [sizeText(event.bytes), msText(event.ms)];
    case 'connection':
      return event.retryMs === null
        ? []
        : [`code ${event.code}`, `again in ${msText(event.retryMs)}`];
    default:
      return event satisfies never;
  }
}

function isBad(event: TraceEvent): boolean {
  if (event.type === 'connection') return event.state === 'lost' || event.state === 'errored';
  if (event.type === 'write') return event.state === 'rejected';
  if (event.type === 'store') return event.failure !== null;
  return event.type === 'frame' && event.op.includes('error');
}
