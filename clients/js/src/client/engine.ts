import { explainBy } from '../errors.ts';
import { originOf } from '../http/origin.ts';
import { mergeBy, Queue } from '../pending/queue.ts';
import { refreshBy } from '../query/top.ts';
import { hasOneOf } from '../schema/shape.ts';
import { Store } from '../store/store.ts';
import { readFreeDate, readFreeDates } from '../values/here.ts';
import type { Trace } from '../trace/trace.ts';
import { fetchLater } from './code.ts';
import { addressesOf, type Config } from './config.ts';
import { cookieTeller } from './cookie.ts';
import type { Environment } from './environment.ts';
import type { Later } from './later.ts';
import { Lazy } from './lazy.ts';
import type { LocalCode } from './local.ts';
import { fetchLocal } from './local-code.ts';
import { Persistence } from './persistence.ts';
import { Queries } from './queries.ts';
import { RoomsDoor } from './rooms.ts';
import { type ConnectionStatus, Session } from './session.ts';
import type { SessionOptions } from './session-options.ts';
import { Tabs } from './tabs.ts';
import { Uploads } from './uploads.ts';
import { CurrentUser } from './user.ts';
import { UserChange } from './user-change.ts';

/** How often acknowledged writes that no answer tells of are looked for. */
const TIDY_MS = 10_000;

/** After so long without a session what is known here is shown: a start or a blip is shorter. */
const OFFLINE_MS = 2_000;

/**
 * What a database holds, put together: the store, the queue, the session, the disk, and who is
 * signed in. It shows what is new of them once, and tells what the connection and the disk are
 * doing; `Database` is its face.
 */
export class Engine {
  readonly config: Config;
  readonly environment: Environment;
  /** Of the server, such as `https://data.example.org`. */
  readonly origin: string;
  readonly store: Store;
  readonly queue: Queue;
  readonly session: Session;
  readonly queries: Queries;
  readonly user: CurrentUser;
  readonly users: UserChange;
  readonly persistence: Persistence;
  readonly rooms: RoomsDoor;
  readonly tabs: Tabs;
  readonly uploads: Uploads;
  readonly later: Lazy<Later>;
  readonly local: Lazy<LocalCode>;
  readonly trace: Trace = {};
  readonly storageObservers = new Set<() => void>();
  readonly statusObservers = new Set<(status: ConnectionStatus) => void>();
  isShutDown = false;
  readonly #isPartial: boolean;
  #status: ConnectionStatus = 'closed';
  #stopTidying: () => void = () => {};
  /** Ends the wait for a session; null while there is one. */
  #cancelOffline: (() => void) | null = null;
  #stopHiding: () => void = () => {};
  /** Ends following who signs in and out in other tabs. */
  #stopWatching: () => void = () => {};
  /** When the session was opened last. */
  #liveAt = 0;

  constructor(config: Config, environment: Environment) {
    const { appId, schema } = config;
    const origin = originOf(config);
    const name = `tricedb:${origin}/${appId}`;
    this.config = config;
    this.environment = environment;
    this.origin = origin;
    this.#isPartial = config.partial === true;
    const { trace } = this;
    this.later = new Lazy(environment, fetchLater, (later) => this.#codeCame(later));
    this.local = new Lazy(
      environment,
      fetchLocal,
      (local) => this.#localCame(local),
      () => {
        this.store.waitNoMore();
        this.#changed();
      },
    );
    this.store = new Store({
      schema,
      hasOne: hasOneOf(schema),
      id: environment.id,
      keepInvented: (entry, invented) => this.queue.keepInvented(entry, invented),
      code: this.later,
      local: this.local,
      landed: (answer, news) => {
        this.persistence.landed(answer);
        this.tabs.life?.hub?.landed(answer, news);
      },
      trace,
    });
    this.queue = new Queue(() => this.#writesChanged());
    const tellCookie = cookieTeller(this);
    this.user = new CurrentUser(environment, `${name}:user`, tellCookie, (isSignedOut) =>
      this.users.changed(isSignedOut),
    );
    const place = `tricedb:${origin.replace(/^[a-z]+:\/\//, '')}/${appId}`;
    const own: SessionOptions = {
      appId,
      adminToken: config.__adminToken,
      addresses: addressesOf(config, origin),
      environment,
      store: this.store,
      queue: this.queue,
      maySend: () => !this.queue.owner && this.tabs.life?.maySend !== false,
      later: this.later,
      trace,
      token: () => this.user.token,
      tokenRefused: () => this.users.tokenRefused(),
      reset: () => {
        this.queries.hydrated?.reset();
        this.persistence.reset();
      },
      changed: () => this.#changed(),
      isShared: () => this.tabs.life?.hub?.hasFollowers === true,
    };
    const socket: Environment['socket'] = (url, handlers) =>
      this.tabs.life?.socket(handlers) ?? environment.socket(url, handlers);
    this.session = new Session({ ...own, environment: { ...environment, socket } });
    this.persistence = new Persistence({
      environment,
      // The app's own token is for programs on a server: their writes are not a user's.
      disks: config.__adminToken === undefined ? (environment.disks ?? null) : null,
      name: place,
      store: this.store,
      queue: this.queue,
      trace,
      held: () => this.session.held,
      restoreHeld: (catalog, tx) => this.session.restore(catalog, tx),
      saved: () => {
        this.session.push();
        this.uploads.look();
        this.tabs.life?.hub?.changed();
      },
      taken: () => this.tabs.rejoin(),
      sourceOf: (id) => this.uploads.sourceOf(id),
      restored: () => this.#changed(),
      code: this.later,
      statusChanged: () => {
        for (const tell of [...this.storageObservers]) tell();
      },
    });
    this.queries = new Queries(this.store, this.session, environment, (hash) =>
      this.persistence.restore(hash),
    );
    this.tabs = new Tabs(this, place, own);
    this.rooms = new RoomsDoor(environment, this.tabs);
    this.uploads = new Uploads(appId, this, this.later);
    this.users = new UserChange(this);
  }

  /** arrive  signs in who comes back from a provider */
  start(arrive: () => Promise<unknown>): void {
    const { environment } = this;
    this.store.setPartial(this.#isPartial);
    this.#stopHiding =
      environment.onHide?.(() => void this.persistence.flush()) ?? this.#stopHiding;
    environment.onIdle?.(() => {
      if (this.isShutDown) return;
      this.local.need();
      this.later.need();
    });
    this.#tidySoon();
    void this.users.start(arrive);
  }

  stop(): void {
    this.isShutDown = true;
    this.#stopTidying();
    this.#cancelOffline?.();
    this.#stopHiding();
    this.users.end();
    this.session.stop();
    this.#stopWatching();
    this.tabs.leave(this.persistence.leave('keep'));
  }

  get isOffline(): boolean {
    const { environment, session, users } = this;
    const isStarting = users.isStarting && !environment.isServer;
    return session.status === 'closed' && !isStarting && !session.isAsleep;
  }

  /** Shows what is new, and tells it once. */
  #changed(): void {
    const { session, store } = this;
    this.#lookAtConnection();
    store.flush();
    const now = this.environment.now();
    const isChanged = session.status !== this.#status;
    if (session.status === 'authenticated') {
      if (isChanged) this.#liveAt = now;
      this.later.part?.tidy(this, now, this.#liveAt);
    }
    this.persistence.look();
    this.tabs.life?.hub?.changed();
    if (isChanged) {
      this.uploads.look();
      this.#status = session.status;
      for (const tell of [...this.statusObservers]) tell(this.#status);
    }
  }

  /** Without a session for a while, queries are answered from what is known here. */
  #lookAtConnection(): void {
    const isLive = this.session.status === 'authenticated';
    if (isLive) {
      this.#cancelOffline?.();
      this.#cancelOffline = null;
      this.store.setPartial(this.#isPartial);
    }
    if (isLive || this.#cancelOffline || this.users.isStarting || this.isShutDown) return;
    this.#cancelOffline = this.environment.timer(OFFLINE_MS, () => {
      this.store.setPartial(true);
      this.store.flush();
    });
  }

  #writesChanged(): void {
    this.trace.say?.('writes', this.queue.entries);
    this.store.setWrites(this.queue.shown);
    this.store.flush();
    this.persistence.look();
    this.uploads.look();
    // What was refused earlier is decided on by it.
    if (this.queue.entries.length > 0) this.local.need();
    if (this.queue.waiting.length > 0) this.session.rouse();
  }

  #localCame(local: LocalCode): void {
    const { queue, session, store } = this;
    // What was written before could not be held against the schema.
    for (let faults = store.startWriting(local); faults.length > 0;) {
      for (const { id, error } of faults) queue.rejected(id, error, this.environment.now());
      faults = store.startWriting(local);
    }
    store.codeCame(false);
    this.#changed();
    session.push();
  }

  #codeCame(later: Later): void {
    explainBy(later.explain);
    mergeBy(later);
    refreshBy(later.refreshTop);
    const readsMore = !readFreeDate;
    readFreeDates(later.freeUs);
    this.store.codeCame(readsMore);
    // What is answered here, or moved, needs it.
    this.local.need();
    // Before the disk looks for their bytes.
    this.uploads.came(later);
    this.tabs.came(later);
    if (!this.isShutDown) this.#stopWatching = later.watchUser(this.user, this.environment.storage);
    this.#changed();
  }

  #tidySoon(): void {
    this.#stopTidying = this.environment.timer(TIDY_MS, () => {
      this.#changed();
      this.#tidySoon();
    });
  }
}
