import { failure } from '../errors.ts';
import { type AnyChunk, operationsOf, tx, type TxBuilder } from '../pending/builder.ts';
import { NO_PAGES } from '../calls/no-pages.ts';
import type {
  CallObserver,
  CallOptions,
  CallState,
  FunctionRef,
  PagedObserver,
  PagedRef,
  PagedState,
  QueryRef,
} from '../calls/refs.ts';
import { withModes } from '../pending/modes.ts';
import type { Outcome } from '../pending/entry.ts';
import type { Presence } from '../rooms/presence.ts';
import { LOADING, type QueryState } from '../store/answer.ts';
import { queryHash } from '../store/hash.ts';
import { Auth } from './auth.ts';
import type { Config } from './config.ts';
import { Engine } from './engine.ts';
import type { Environment } from './environment.ts';
import { InfiniteQuery, type InfiniteState } from './infinite.ts';
import { Pending } from './pending.ts';
import { type Observer, withRuleParams } from './queries.ts';
import type { RoomHandle, RoomsDoor } from './rooms.ts';
import type { ConnectionStatus } from './session.ts';
import { checkTotals, type TotalsObserver, type TotalsState, totalsObserver } from './totals.ts';
import type { StorageStatus } from './disk.ts';
import { Storage } from './storage.ts';
import { Streams } from './streams.ts';
import { type Listen, listenTo } from './tracing.ts';
import type { AuthState, User } from './user.ts';

/** How long `queryOnce` waits for an answer. */
const ONCE_MS = 30_000;

/** What became of a transaction: taken by the server, or waiting for it. */
export interface TransactResult {
  readonly status: 'synced' | 'enqueued';
  readonly eventId: string;
  /** Names the write in `db.pending`. */
  readonly clientId: string;
}

/** One app's data, live. `init` makes it. */
export class Database {
  readonly tx: TxBuilder = tx;
  readonly auth: Auth;
  /** Files. */
  readonly storage: Storage;
  /** Texts that grow while they are read. */
  readonly streams: Streams;
  /** Writes that the server has not told yet. */
  readonly pending: Pending;
  /**
   * Calls `tell` with what happens in the client: frames, news, what queries cost and why they were
   * looked at, writes, the disk, the connection. While somebody listens the last 2,000 events are
   * kept, and told first to whoever comes later; while nobody does none is made.
   *
   * returns  ends it
   */
  readonly trace: Listen;
  protected readonly roomsDoor: RoomsDoor;
  readonly #engine: Engine;

  constructor(config: Config, environment: Environment) {
    const engine = new Engine(config, environment);
    const { later, origin, queue, rooms, session, uploads, user, users } = engine;
    const { appId } = config;
    this.#engine = engine;
    this.trace = listenTo(engine.trace, environment, () => queue.entries);
    this.roomsDoor = rooms;
    this.streams = new Streams(environment, engine.tabs, origin);
    const token = async () => (await this.getAuth())?.refresh_token ?? null;
    this.storage = new Storage(uploads, token);
    this.auth = new Auth({ appId, environment, origin, user }, later, () => users.signOut());
    this.pending = new Pending(queue, environment, () => session.push());
    if (!environment.isServer) engine.start(this.auth.arrive);
  }

  /** What it is made of, for the other parts of this package; apps have no use for it. */
  get engine(): Engine {
    return this.#engine;
  }

  // --- queries ----------------------------------------------------------------------------------

  /** One query as a thing to watch: what adapters of frameworks are made of. */
  observe(query: object, opts?: { ruleParams?: object }): Observer {
    return this.#engine.queries.observe(withRuleParams(query, opts));
  }

  /**
   * Calls `tell` with what a query finds, now if it is known, and after each change.
   *
   * returns  ends the subscription
   */
  subscribeQuery(
    query: object,
    tell: (state: QueryState) => void,
    opts?: { ruleParams?: object },
  ): () => void {
    const observer = this.observe(query, opts);
    if (!observer.get().isLoading) tell(observer.get());
    return observer.subscribe(() => tell(observer.get()));
  }

  /** A list that is loaded page by page, as a thing to watch. */
  observeInfinite(query: object, opts?: { ruleParams?: object }): InfiniteQuery {
    return new InfiniteQuery(
      withRuleParams(query, undefined),
      (part) => this.observe(part, opts),
      this.#engine.later,
    );
  }

  /**
   * Calls `tell` with the rows loaded of a list, now if they are known, and after each change.
   *
   * query  one form; its `limit` (10) is the length of a page
   */
  subscribeInfiniteQuery(
    query: object,
    tell: (state: InfiniteState) => void,
    opts?: { ruleParams?: object },
  ): { unsubscribe: () => void; loadNextPage: () => void } {
    const list = this.observeInfinite(query, opts);
    const unsubscribe = list.subscribe(() => tell(list.get()));
    if (!list.get().isLoading) tell(list.get());
    return { unsubscribe, loadNextPage: list.loadNextPage };
  }

  /** Totals of what matches, as a thing to watch. */
  observeTotals(query: object, opts?: { ruleParams?: object }): TotalsObserver {
    const plain = withRuleParams(query, opts);
    checkTotals(plain);
    return totalsObserver(this.#engine.queries.observe(plain));
  }

  /**
   * Calls `tell` with totals of what matches, now if they are known, and after each change.
   *
   * query    forms such as `{todos: {$: {where: {…}, aggregate: {count: true, sum: 'minutes'}}}}`
   * returns  ends the subscription
   */
  subscribeTotals(
    query: object,
    tell: (state: TotalsState) => void,
    opts?: { ruleParams?: object },
  ): () => void {
    const observer = this.observeTotals(query, opts);
    if (!observer.get().isLoading) tell(observer.get());
    return observer.subscribe(() => tell(observer.get()));
  }

  /** Asks once, of the server. Rejects with `offline` at once where it cannot be reached. */
  queryOnce(query: object, opts?: { ruleParams?: object }): Promise<QueryState> {
    if (this.#engine.isOffline) return Promise.reject(failure('offline'));
    return this.#engine.queries.once(withRuleParams(query, opts), ONCE_MS);
  }

  // --- writes -----------------------------------------------------------------------------------

  /**
   * Writes: shown at once, sent in order, and applied by the server once, all or nothing.
   *
   * returns  resolves as `synced` when the server took it, as `enqueued` while there is no
   *          connection; rejects with the server's error when it is refused, after the write was
   *          taken back here
   */
  transact(
    chunks: AnyChunk | readonly AnyChunk[],
    opts?: { label?: string },
  ): Promise<TransactResult> {
    if (this.#engine.isShutDown) return Promise.reject(failure('shut-down'));
    const id = this.#engine.environment.id();
    return new Promise((resolve, reject) => {
      const done = (status: TransactResult['status']) =>
        resolve({ status, eventId: id, clientId: id });
      const settle = (outcome: Outcome) => {
        if (outcome.status === 'rejected') reject(outcome.error);
        else done(outcome.status === 'kept' ? 'enqueued' : 'synced');
      };
      const saved = () => {
        if (this.#engine.session.status !== 'authenticated') done('enqueued');
      };
      try {
        const known = withModes(operationsOf(chunks), (etype, entity) =>
          this.#engine.store.isKnown(etype, entity),
        );
        const now = this.#engine.environment.now();
        this.#engine.queue.add(id, known, { label: opts?.label, now, saved, settle });
      } catch (error) {
        this.#engine.queue.undo(id);
        reject(error as Error);
        return;
      }
      this.#engine.session.push();
    });
  }

  // --- functions --------------------------------------------------------------------------------

  /**
   * Calls a function of the app: `db.call(api.messages.send, { channel, text })`.
   *
   * Mutations wait for a connection in one order with `transact`, over reloads too, and
   * `optimistic` shows at once what they will do; a refused one stays in `pending`. Queries and
   * actions need a connection: without one they reject with `offline`.
   *
   * returns  what the function returned; rejects with the server's error
   */
  call<F extends FunctionRef>(
    fn: F,
    args: F['args'],
    opts?: CallOptions<F['args'], TxBuilder>,
  ): Promise<F['result']> {
    const engine = this.#engine;
    return new Promise((resolve, reject) =>
      // At once where the code is here, so that what is called next comes after it.
      engine.later.call(({ Calls }) => resolve(Calls.of(engine).call(fn, args, opts)), reject),
    );
  }

  /** A query function as a thing to watch: what adapters of frameworks are made of. */
  observeCall<F extends QueryRef>(fn: F, args: F['args']): CallObserver<F['result']> {
    const engine = this.#engine;
    const { later } = engine;
    const key = queryHash([fn.name, args]);
    return {
      get: () => (later.part?.Calls.of(engine).state(key) ?? LOADING) as CallState<any>,
      subscribe: (tell) =>
        later.subscribe(({ Calls }) => Calls.of(engine).watch(key, fn.name, args, tell)),
    };
  }

  /** A function that lists something as a thing to watch, page by page. */
  observePagedCall<F extends PagedRef>(fn: F, args: F['list']): PagedObserver<F['item']> {
    const engine = this.#engine;
    const { later } = engine;
    const key = queryHash([fn.name, { [fn.paged]: {}, ...args }]);
    return {
      get: () => later.part?.Calls.of(engine).listState(key) ?? NO_PAGES,
      subscribe: (tell) =>
        later.subscribe(({ Calls }) => Calls.of(engine).watchList(key, fn, args, tell)),
    };
  }

  /**
   * Calls `tell` with the items of all pages loaded so far, now if they are known, and after each
   * change.
   *
   * returns  ends the subscription
   */
  subscribePagedCall<F extends PagedRef>(
    fn: F,
    args: F['list'],
    tell: (state: PagedState<F['item']>) => void,
  ): () => void {
    const observer = this.observePagedCall(fn, args);
    if (!observer.get().isLoading) tell(observer.get());
    return observer.subscribe(() => tell(observer.get()));
  }

  /**
   * Calls `tell` with what a query function returns, now if it is known, and after each change.
   *
   * returns  ends the subscription
   */
  subscribeCall<F extends QueryRef>(
    fn: F,
    args: F['args'],
    tell: (state: CallState<F['result']>) => void,
  ): () => void {
    const observer = this.observeCall(fn, args);
    if (!observer.get().isLoading) tell(observer.get());
    return observer.subscribe(() => tell(observer.get()));
  }

  // --- rooms ------------------------------------------------------------------------------------

  /**
   * Enters a room: its members see each other's presence, and tell each other things. It is entered
   * again by itself after a lost connection.
   *
   * id  names the room: a client is in one room of an id at a time, of the type it joined first
   */
  joinRoom<P extends object = Presence, T extends object = Record<string, any>>(
    type = '_defaultRoomType',
    id = '_defaultRoomId',
    opts?: { initialPresence?: Partial<NoInfer<P>> },
  ): RoomHandle<P, T> {
    return this.roomsDoor.join<P, T>(type, id, opts?.initialPresence);
  }

  // --- who, and whether -------------------------------------------------------------------------

  /** Calls `tell` with who is signed in, now if it is known, and after each change. */
  subscribeAuth(tell: (state: AuthState) => void): () => void {
    if (!this.#engine.user.state.isLoading) tell(this.#engine.user.state);
    return this.#engine.user.observe(tell);
  }

  /** The same, after changes only. */
  onAuthChange(tell: () => void): () => void {
    return this.#engine.user.observe(tell);
  }

  get authState(): AuthState {
    return this.#engine.user.state;
  }

  /** Who is signed in, once it is known. */
  getAuth(): Promise<User | null> {
    const { state } = this.#engine.user;
    if (!state.isLoading) return Promise.resolve(state.user ?? null);
    return new Promise((resolve) => {
      const stop = this.#engine.user.observe(({ user }) => {
        stop();
        resolve(user ?? null);
      });
    });
  }

  get connectionStatus(): ConnectionStatus {
    return this.#engine.session.status;
  }

  /** Calls `tell` with the status of the connection, now and after each change. */
  subscribeConnectionStatus(tell: (status: ConnectionStatus) => void): () => void {
    tell(this.#engine.session.status);
    return this.onConnectionStatusChange(tell);
  }

  /** The same, after changes only. */
  onConnectionStatusChange(tell: (status: ConnectionStatus) => void): () => void {
    this.#engine.statusObservers.add(tell);
    return () => this.#engine.statusObservers.delete(tell);
  }

  /** Whether answers and writes that wait survive the page. */
  get storageStatus(): StorageStatus {
    return this.#engine.persistence.status;
  }

  /** Calls `tell` after each change of it. Returns what ends it. */
  onStorageStatusChange(tell: () => void): () => void {
    this.#engine.storageObservers.add(tell);
    return () => this.#engine.storageObservers.delete(tell);
  }

  /** An id of this device under a name: the same at every start. */
  async getLocalId(name: string): Promise<string> {
    const { config, environment, origin } = this.#engine;
    const key = `tricedb:${origin}/${config.appId}:local:${name}`;
    const known = await environment.storage.get(key).catch(() => null);
    if (known !== null) return known;
    const id = environment.id();
    await environment.storage.set(key, id).catch(() => undefined);
    return id;
  }

  /** Closes the connection for good. Writes that wait stay pending; nothing is sent any more. */
  shutdown(): void {
    this.#engine.uploads.stop(failure('shut-down'));
    this.#engine.stop();
  }
}
