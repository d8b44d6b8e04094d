/**
 * Keeps a connection to the server while it is wanted.
 *
 *     idle ──start──> connecting ──open──> open ──closed──> waiting ──timer, wake──> connecting
 *       ^                  └────── 10 s, closed ────────────────^
 *       └──stop── any
 *
 *     open ──hidden for 5 min, nothing waits──> asleep ──wake, a write, a new query──> connecting
 *
 * A link that is silent is asked; if nothing comes, it is dead: `close` events of sockets may take
 * minutes, or never come (iOS).
 */
import { fetchLater } from '../client/code.ts';
import type { Environment, Socket } from '../client/environment.ts';
import type { Trace } from '../trace/trace.ts';
import { Backoff } from './backoff.ts';
import { type Transport, Transports } from './transports.ts';

/** A socket that is not open by then is given up. */
const OPEN_MS_MAX = 10_000;

/** A link on which nothing was heard for so long is asked. */
const SILENCE_MS = 5_000;

/** The same while the page is hidden: browsers let its timers run once a minute at last. */
const HIDDEN_SILENCE_MS = 30_000;

/** What was asked must be answered by then. */
const ANSWER_MS_MAX = 4_000;

/** The same after the page slept: its link is probably dead, and somebody looks at it. */
const WOKEN_ANSWER_MS_MAX = 2_000;

/** A page that is hidden for so long, and waits for nothing, lets go of its connection. */
const HIDDEN_MS = 5 * 60_000;

/** The platform tells several times that the page woke: it is heeded once in so long. */
const WAKE_MS = 1_000;

/** Over an event stream, WebSockets are tried again so often. */
const WEBSOCKET_MS = 5 * 60_000;

/** Where a server listens, by transport. */
export type Addresses = Readonly<Record<Transport, string>>;

export type ConnectionState = 'idle' | 'connecting' | 'open' | 'waiting' | 'asleep';

export interface ConnectionHandlers {
  /** The socket is open: say who you are. */
  opened(): void;
  /** Messages of one frame, in order. */
  messages(messages: readonly unknown[]): void;
  /** The link is gone, or could not be made; another attempt follows by itself. */
  lost(): void;
  /** A message that every server answers, or null: nothing can be asked yet. */
  question(): unknown;
  /** Whether nothing is under way that needs a connection while nobody looks. */
  mayRest(): boolean;
}

export class Connection {
  state: ConnectionState = 'idle';
  readonly #environment: Environment;
  readonly #addresses: Addresses;
  readonly #handlers: ConnectionHandlers;
  readonly #backoff = new Backoff();
  readonly #transports = new Transports();
  /** By which it is made, or was last. */
  transport: Transport = 'websocket';
  /** When something was heard last; 0: never. */
  heardAt = 0;
  readonly #trace: Trace;
  #socket: Socket | null = null;
  #openedAt = 0;
  /** Since when the page is known to be hidden. */
  #hiddenAt: number | null = null;
  #wokenAt = -Infinity;
  /** When the timer that runs was set, and for how long. */
  #timerAt = 0;
  #timerMs = 0;
  #cancelTimer: () => void = () => {};
  #stopWaking: () => void = () => {};
  #stopProbe: () => void = () => {};

  constructor(
    environment: Environment,
    addresses: Addresses,
    handlers: ConnectionHandlers,
    trace: Trace,
  ) {
    this.#environment = environment;
    this.#trace = trace;
    this.#addresses = addresses;
    this.#handlers = handlers;
  }

  start(): void {
    if (this.state !== 'idle') return;
    this.#stopWaking = this.#environment.onWake(() => this.wake());
    this.#connect();
  }

  stop(): void {
    this.#stopWaking();
    this.#drop();
    this.state = 'idle';
  }

  /** Connects anew at once, as somebody else. */
  restart(): void {
    if (this.state === 'idle') return;
    const wasOpen = this.state === 'open';
    this.#drop();
    if (wasOpen) this.#handlers.lost();
    this.#backoff.reset();
    this.#connect();
  }

  /** Ends the connection, and tries again after so long. */
  pause(delayMs: number): void {
    if (this.state === 'idle') return;
    this.#drop();
    this.state = 'waiting';
    this.#timer(delayMs, () => this.#connect());
  }

  /** The network is back, or the page is seen again: try, or ask, at once. */
  wake(): void {
    const since = this.#environment.now() - this.#wokenAt;
    this.#hiddenAt = null;
    if (since >= WAKE_MS) this.#wake();
    else if (this.state === 'waiting') {
      const leftMs = this.#timerAt + this.#timerMs - this.#environment.now();
      this.#timer(Math.min(leftMs, WAKE_MS - since), () => this.#wake());
    }
  }

  /** A connection that rests is needed. */
  rouse(): void {
    if (this.state === 'asleep') this.#connect();
  }

  #wake(): void {
    this.#wokenAt = this.#environment.now();
    if (this.state === 'waiting' || this.state === 'asleep') {
      this.#cancelTimer();
      this.#transports.reset();
      this.#connect();
    } else if (this.state === 'open') {
      this.#ask(this.#hasSlept ? WOKEN_ANSWER_MS_MAX : ANSWER_MS_MAX);
      if (this.transport === 'events') this.#probe();
    }
  }

  send(messages: readonly unknown[]): void {
    for (const message of messages) {
      const text = JSON.stringify(message);
      this.#trace.say?.('frame', 'out', text, message);
      this.#socket?.send(text);
    }
  }

  /** The session is open: attempts are counted anew from here. */
  succeeded(): void {
    this.#backoff.reset();
    this.#transports.succeeded(this.transport);
    if (this.transport === 'events') this.#probeLater();
  }

  #connect(): void {
    this.state = 'connecting';
    this.transport = this.#transports.next();
    const url = this.#addresses[this.transport];
    this.#trace.say?.('connection', 'attempt', this.transport);
    const { now } = this.#environment;
    const isCurrent = () => this.#socket === socket;
    const socket: Socket = this.#environment.socket(url, {
      opened: () => {
        if (!isCurrent()) return;
        this.#cancelTimer();
        this.state = 'open';
        this.#openedAt = this.heardAt = now();
        this.#listen();
        this.#handlers.opened();
      },
      message: (text) => {
        if (!isCurrent()) return;
        this.heardAt = now();
        const parsed: unknown = JSON.parse(text);
        this.#trace.say?.('frame', 'in', text, parsed);
        this.#handlers.messages(Array.isArray(parsed) ? parsed : [parsed]);
      },
      closed: (code) => {
        if (isCurrent()) this.#lost(code);
      },
    });
    this.#socket = socket;
    this.#timer(OPEN_MS_MAX, () => this.#lost(0));
  }

  #lost(code: number): void {
    const wasOpen = this.state === 'open';
    const livedMs = wasOpen ? this.#environment.now() - this.#openedAt : 0;
    this.#drop();
    this.state = 'waiting';
    const delayMs = this.#backoff.next(code, livedMs, this.#environment.random());
    this.#timer(delayMs, () => this.#connect());
    this.#trace.say?.('connection', 'lost', this.transport, code, delayMs);
    this.#handlers.lost();
  }

  /** Asks a silent link, and gives up one that does not answer. */
  #listen(): void {
    const { now, isHidden } = this.#environment;
    const silenceMs = isHidden?.() ? HIDDEN_SILENCE_MS : SILENCE_MS;
    this.#timer(this.heardAt + silenceMs - now(), () => {
      if (this.#mayRest()) return this.#rest();
      if (now() - this.heardAt < silenceMs) this.#listen();
      else this.#ask(this.#hasSlept ? WOKEN_ANSWER_MS_MAX : ANSWER_MS_MAX);
    });
  }

  #ask(answerMs: number): void {
    const question = this.#handlers.question();
    if (question !== null) this.send([question]);
    const askedAt = this.#environment.now();
    this.#timer(question === null ? OPEN_MS_MAX : answerMs, () => {
      if (this.heardAt >= askedAt) this.#listen();
      // The answer may lie in what the page could not read while it slept.
      else if (this.#hasSlept) this.#ask(WOKEN_ANSWER_MS_MAX);
      else this.#lost(0);
    });
  }

  /** The timer that runs, or ran, is late by more than its own time: the page slept. */
  get #hasSlept(): boolean {
    return this.#environment.now() - this.#timerAt > 2 * Math.max(this.#timerMs, WAKE_MS);
  }

  /** Whether nobody looked for long, and nothing is under way. */
  #mayRest(): boolean {
    const { now, isHidden } = this.#environment;
    this.#hiddenAt = isHidden?.() ? (this.#hiddenAt ?? now()) : null;
    const isLong = this.#hiddenAt !== null && now() - this.#hiddenAt >= HIDDEN_MS;
    return isLong && this.#handlers.mayRest();
  }

  #rest(): void {
    this.#drop();
    this.state = 'asleep';
    this.#backoff.reset();
    this.#handlers.lost();
  }

  #probeLater(): void {
    this.#stopProbe();
    this.#stopProbe = this.#environment.timer(WEBSOCKET_MS, () => this.#probe());
  }

  /** Goes over to a WebSocket where one works by now; the event stream lives until then. */
  #probe(): void {
    const question = this.#handlers.question();
    if (question === null) return this.#probeLater();
    this.#stopProbe();
    const stop = (this.#stopProbe = () => {});
    const then = (works: boolean) => {
      if (!works) return this.#probeLater();
      this.#transports.reset();
      this.restart();
    };
    fetchLater().then(
      ({ probeWebSocket }) => {
        const url = this.#addresses.websocket;
        if (this.#stopProbe === stop)
          this.#stopProbe = probeWebSocket(this.#environment, url, question, then);
      },
      () => {
        if (this.#stopProbe === stop) this.#probeLater();
      },
    );
  }

  #drop(): void {
    this.#cancelTimer();
    this.#stopProbe();
    this.#stopProbe = () => {};
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  /** One timer at a time: the state says which. */
  #timer(delayMs: number, then: () => void): void {
    this.#cancelTimer();
    this.#timerAt = this.#environment.now();
    this.#timerMs = Math.max(0, delayMs);
    this.#cancelTimer = this.#environment.timer(delayMs, then);
  }
}
