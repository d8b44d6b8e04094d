import type { Tabs } from '../client/tabs.ts';
import type { CurrentUser } from '../client/user.ts';
import type { Environment } from '../client/environment.ts';
import { failure, TriceError } from '../errors.ts';
import type { TxBuilder } from '../pending/builder.ts';
import { withModes } from '../pending/modes.ts';
import type { Entry, Outcome } from '../pending/entry.ts';
import { checkTransaction } from '../pending/limits.ts';
import type { Queue } from '../pending/queue.ts';
import type { Message, Part, PartSession } from '../session/part.ts';
import { LOADING } from '../store/answer.ts';
import type { Store } from '../store/store.ts';
import { lineOf } from '../tabs/part-line.ts';
import { isObject } from '../values/json.ts';
import { madeIn } from '../values/made.ts';
import { tellEach } from '../values/tell.ts';
import { utf8Bytes } from '../values/utf8-bytes.ts';
import { changed, type CallDelta } from './delta.ts';
import { Once } from './once.ts';
import { apply, callKey, predict, shared, stepsFor } from './predict.ts';
import { NO_PAGES } from './no-pages.ts';
import { type CallPage, itemsOf, pagesAfter } from './pages.ts';
import type { CallOptions, CallState, FunctionRef, PagedRef, PagedState } from './refs.ts';

/** A live call that is no longer watched stays subscribed for so long, as queries do. */
const LINGER_MS = 10_000;

/** What keys of lists begin with: a list and a call of the same arguments are two. */
const LIST = 'list ';

/** Bytes of the arguments of a call, as JSON in UTF-8. */
const ARGS_BYTES_MAX = 4 * 1024 * 1024;

/** What calls need of the client. */
export interface CallsDeps {
  readonly environment: Environment;
  readonly queue: Queue;
  readonly store: Pick<Store, 'isKnown'>;
  readonly session: { push(): void };
  /** Calls are asked on the tab's own session: another tab answers none. */
  readonly tabs: Tabs;
  readonly user: CurrentUser;
  readonly isOffline: boolean;
  readonly isShutDown: boolean;
}

/** A live function that somebody watches, or watched until a moment ago. */
interface Watched {
  readonly key: string;
  readonly name: string;
  readonly args: object;
  readonly observers: Set<() => void>;
  cancelEnd: () => void;
  /** What the server said last, and its name of that. */
  answer: unknown;
  version: unknown;
  /** The transaction up to which the answer contains all; null: there is none yet. */
  tx: number | null;
  error: TriceError | undefined;
  state: CallState | PagedState;
  /** Of a list; null: it is none. */
  pages: readonly CallPage[] | null;
  /** A page more of it was asked for. */
  isGrowing: boolean;
  /** What predictions name it by. */
  readonly said: string;
}

/** What is known of a live call before the server said anything. */
const NOTHING = {
  answer: undefined,
  version: undefined,
  tx: null,
  error: undefined,
  isGrowing: false,
};

/** By client. */
const KNOWN = new WeakMap<object, Calls>();

/**
 * Calls of functions. Mutations go through the queue of writes; queries and actions are asked once;
 * watched queries are kept as the answers of InstaQL are: what the server said, and what is shown
 * of it with the predictions of mutations on top that it does not contain.
 */
export class Calls implements Part {
  readonly handlers: Part['handlers'] = {
    'call-ok': (message) => this.#once.answered(message),
    'add-call': (message) => this.#failed(message),
    'more-call': (message) => this.#failed(message),
    'add-call-ok': (message) => this.#answered(message, message),
    // Not ops: an error of `call`, if no write waits for it, and what a `refresh-ok` says of calls.
    'call-failed': (message) => this.#once.failed(message),
    calls: (message) => this.#refreshed(message),
  };
  readonly #deps: CallsDeps;
  readonly #once: Once;
  readonly #line: PartSession & { add(part: Part): void };
  readonly #watched = new Map<string, Watched>();
  /** The writes of the last look that predict something of live calls. */
  #predicting: readonly Entry[] = [];

  /** Those of a client, made when it first calls or watches a function. */
  static of(client: CallsDeps): Calls {
    return madeIn(KNOWN, client, () => new Calls(client));
  }

  /** Those of a client, if it ever called or watched a function. */
  static find(client: object): Calls | undefined {
    return KNOWN.get(client);
  }

  constructor(deps: CallsDeps) {
    this.#deps = deps;
    this.#line = lineOf(deps.tabs);
    this.#once = new Once(deps.environment, this.#line);
    let before = deps.user.state;
    deps.user.observe((now) => {
      const isOther = before.user?.refresh_token !== now.user?.refresh_token;
      if (isOther && !before.isLoading) this.#forget();
      before = now;
    });
    deps.queue.observe(() => this.#writesChanged());
    this.#writesChanged();
    this.#line.add(this);
  }

  get isIdle(): boolean {
    return this.#once.isIdle && [...this.#watched.values()].every(({ tx }) => tx !== null);
  }

  /** Calls a function once, and returns what it returned. */
  call(fn: FunctionRef, given: object, opts: CallOptions = {}): Promise<unknown> {
    if (this.#deps.isShutDown) return Promise.reject(failure('shut-down'));
    const args = JSON.parse(JSON.stringify(given)) as object;
    const bytes = utf8Bytes(JSON.stringify(args));
    if (bytes > ARGS_BYTES_MAX)
      return Promise.reject(failure('call-too-big', { bytes, max: ARGS_BYTES_MAX }));
    if (fn.kind === 'mutation') return this.#mutate(fn, args, given, opts);
    if (this.#deps.isOffline) return Promise.reject(failure('offline'));
    return this.#once.call(fn, args);
  }

  state(key: string): CallState | undefined {
    return this.#watched.get(key)?.state as CallState | undefined;
  }

  listState(key: string): PagedState | undefined {
    return this.#watched.get(LIST + key)?.state as PagedState | undefined;
  }

  /** Watches a query function. All who watch the same share one subscription. */
  watch(key: string, name: string, args: object, tell: () => void): () => void {
    return this.#observe(key, tell, { key, name, args, pages: null, said: key });
  }

  /** Watches a list page by page. All who watch the same have loaded the same pages. */
  watchList(key: string, { name, paged }: PagedRef, given: object, tell: () => void): () => void {
    const args = { [paged]: {}, ...given };
    const said = callKey(name, given);
    return this.#observe(LIST + key, tell, { key: LIST + key, name, args, pages: [], said });
  }

  #observe(
    key: string,
    tell: () => void,
    what: Pick<Watched, 'key' | 'name' | 'args' | 'pages' | 'said'>,
  ): () => void {
    let watched = this.#watched.get(key);
    if (watched === undefined) {
      const args = JSON.parse(JSON.stringify(what.args)) as object;
      const observers = new Set<() => void>();
      const state = what.pages ? NO_PAGES : (LOADING as CallState);
      watched = { ...what, args, observers, cancelEnd: () => {}, ...NOTHING, state };
      this.#watched.set(key, watched);
      this.#ask(watched);
    }
    const { observers } = watched;
    watched.cancelEnd();
    const own = () => tell();
    observers.add(own);
    return () => {
      if (observers.delete(own) && observers.size === 0)
        watched.cancelEnd = this.#deps.environment.timer(LINGER_MS, () => this.#end(watched));
    };
  }

  /** Whether each answer that an acknowledged write was to change contains it. */
  isTold({ call, tx }: Entry): boolean {
    return (call?.steps ?? []).every(([, key]) => {
      const of = [...this.#watched.values()].filter(({ said }) => said === key);
      return of.every(({ tx: upTo }) => upTo === null || tx === null || upTo >= tx);
    });
  }

  live(): void {
    const { liveTx } = this.#deps.queue;
    for (const watched of this.#watched.values()) {
      // The data was put back to an older state: ids of transactions mean nothing any more (P74).
      if (watched.tx !== null && watched.tx > (liveTx ?? 0)) watched.tx = 0;
      this.#ask(watched);
    }
    this.#once.live();
  }

  lost(): void {
    this.#once.lost();
  }

  /** Somebody else is signed in: nothing is shown of what was held for the one before. */
  #forget(): void {
    this.#once.forget();
    for (const watched of this.#watched.values()) {
      Object.assign(watched, NOTHING);
      if (watched.pages) watched.pages = [];
      this.#show(watched);
    }
  }

  // --- mutations --------------------------------------------------------------------------------

  #mutate(fn: FunctionRef, args: object, given: object, opts: CallOptions): Promise<unknown> {
    const { environment, queue, session, store } = this.#deps;
    const { label, optimistic, replaces } = opts;
    const id = environment.id();
    return new Promise((resolve, reject) => {
      const settle = (outcome: Outcome) => {
        if (outcome.status === 'rejected') reject(outcome.error);
        else if (outcome.status === 'kept') reject(failure('call-kept'));
        else resolve(queue.get(id)?.value);
      };
      const waiter = { saved: () => {}, settle };
      const said = predict(optimistic as CallOptions<object, TxBuilder>['optimistic'], given);
      const known = withModes(said.operations, (etype, of) => store.isKnown(etype, of));
      checkTransaction(known, utf8Bytes(JSON.stringify(known)));
      const call = { name: fn.name, args, steps: said.steps };
      if (replaces === undefined) {
        const options = { label, call, now: environment.now(), ...waiter };
        queue.add(id, known, options);
      } else {
        queue.edit(replaces, id, known, call);
        queue.watch(id, waiter);
      }
      session.push();
    });
  }

  // --- live calls -------------------------------------------------------------------------------

  #ask({ name, args, version: held, pages, isGrowing }: Watched): void {
    if (!pages) return void this.#line.send('add-call', { name, args, ...(held ? { held } : {}) });
    const ends = pages.map(({ until }) => until);
    const more = isGrowing ? { pages: [...ends, null] } : ends.length > 0 ? { pages: ends } : {};
    this.#line.send('add-call', { name, args, paged: true, ...more });
  }

  #loadNextPage(watched: Watched): void {
    if (!(watched.state as PagedState).canLoadNextPage) return;
    watched.isGrowing = true;
    const { name, args } = watched;
    // Without a connection it is asked for with the rest, once there is one.
    if (this.#line.isLive) this.#line.send('more-call', { name, args });
    this.#show(watched);
  }

  #end(watched: Watched): void {
    this.#watched.delete(watched.key);
    const { name, args, pages } = watched;
    const paged = pages ? { paged: true } : {};
    if (this.#line.isLive) this.#line.send('remove-call', { name, args, ...paged });
  }

  /** said  name and arguments, with a value, what changed, or an error; labelled by `message` */
  #answered(said: Message, message: Message): void {
    const watched = this.#find(said);
    if (watched === undefined) return;
    if (Array.isArray(said.pages)) this.#paged(watched, said, message);
    else if (isObject(said.error)) watched.error = TriceError.of(said.error);
    else if (said.from !== undefined && said.from !== watched.version) {
      // It starts from what is not held: all of it is asked for.
      watched.version = undefined;
      return this.#ask(watched);
    } else {
      let value = said.from === undefined ? said.value : watched.answer;
      if (said.delta) value = changed(value, said.delta as CallDelta);
      watched.error = undefined;
      watched.answer = shared(watched.state.data, value);
      watched.version = said.version;
      watched.tx = message['processed-tx-id'] as number;
    }
    this.#show(watched);
  }

  #paged(watched: Watched, said: Message, message: Message): void {
    const before = watched.pages!;
    const pages = pagesAfter(before, said);
    watched.pages = pages;
    if (pages.length > before.length || said.op) watched.isGrowing = false;
    watched.error = pages.find(({ error }) => error)?.error;
    watched.answer = shared(watched.answer, itemsOf(pages));
    watched.tx = message['processed-tx-id'] as number;
  }

  #refreshed(message: Message): void {
    for (const said of message.calls as readonly Message[]) this.#answered(said, message);
  }

  #failed(message: Message): void {
    const watched = this.#find(message['original-event'] as Message);
    if (watched === undefined) return;
    watched.error = TriceError.of(message);
    watched.isGrowing = false;
    this.#show(watched);
  }

  #find({ op, name, args, pages, paged }: Message): Watched | undefined {
    const key = callKey(name as string, args as object);
    const isList = pages !== undefined || paged === true || op === 'more-call';
    return this.#watched.get(isList ? LIST + key : key);
  }

  #writesChanged(): void {
    const now = this.#deps.queue.shown.filter(({ call }) => call && call.steps.length > 0);
    if (now.length === 0 && this.#predicting.length === 0) return;
    this.#predicting = now;
    for (const watched of this.#watched.values()) this.#show(watched);
  }

  /** Shows what is known of a call, and tells it if that is something else. */
  #show(watched: Watched): void {
    const { answer, error, isGrowing, observers, pages, said, state, tx } = watched;
    const steps = tx === null ? [] : this.#predicting.flatMap((one) => stepsFor(one, said, tx));
    const data = steps.length === 0 ? answer : shared(state.data, steps.reduce(apply, answer));
    const isLoading = tx === null && error === undefined;
    const canLoadNextPage = !isLoading && !isGrowing && !!pages?.at(-1)?.until;
    const isSame = data === state.data && error === state.error && isLoading === state.isLoading;
    if (isSame && (!pages || canLoadNextPage === (state as PagedState).canLoadNextPage)) return;
    const known = { isLoading, error, data };
    if (pages) {
      const before = state as PagedState;
      const loadNextPage =
        before === NO_PAGES ? () => this.#loadNextPage(watched) : before.loadNextPage;
      watched.state = Object.freeze({ ...known, canLoadNextPage, loadNextPage }) as PagedState;
    } else watched.state = (isLoading ? LOADING : Object.freeze(known)) as CallState;
    tellEach(observers);
  }
}
