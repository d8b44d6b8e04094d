import { TriceError } from '../errors.ts';
import type { HttpEnvironment } from '../http/environment.ts';
import { originOf } from '../http/origin.ts';
import { type Asked, Requests } from '../http/requests.ts';
import { type AnyChunk, operationsOf, tx, type TxBuilder } from '../pending/builder.ts';
import type { SchemaShape } from '../schema/shape.ts';
import { Webhooks } from '../webhooks/receiver.ts';
import { AdminAuth } from './auth.ts';
import { type Credentials, headersOf, type Impersonated } from './credentials.ts';
import type { Payload } from './payloads.ts';
import { AdminRooms } from './rooms.ts';
import { AdminStorage } from './storage.ts';
import { AdminStreams } from './streams.ts';
import { Subscription } from './subscription.ts';

/** What `init` takes. */
export interface AdminConfig {
  /** The id of the app. */
  readonly appId: string;
  /** The app's own token. Without it, only users that `asUser` names by token, and guests, act. */
  readonly adminToken?: string | undefined;
  /** The address of the server, such as `https://data.example.org`. */
  readonly server?: string | undefined;
  /** The same in the words of the original's client. */
  readonly apiURI?: string | undefined;
  /** What `i.schema` made: a link to one is an object, and unknown names in writes are refused. */
  readonly schema?: SchemaShape | undefined;
}

/** How a query is asked. */
export interface AdminQueryOptions {
  /** Parameters that rules may ask for. */
  readonly ruleParams?: object;
  /** Options of fetch: `signal`, or what a framework adds, such as `next`. */
  readonly fetchOpts?: Readonly<Record<string, unknown>>;
}

/** What is found: rows by form. */
export type Data = Readonly<Record<string, readonly any[]>>;

/** As what the rules are tried. */
export interface DebugOptions {
  /** Rules in the place of those that hold, as `trice push` takes them. */
  readonly rules?: object;
  readonly ip?: string | null;
  readonly origin?: string | null;
}

export interface DebugQueryOptions extends DebugOptions {
  readonly ruleParams?: object;
  /** A link to one is an object; default: whether `init` has a schema. */
  readonly cardinalityInference?: boolean;
}

/** What a rule said of one entity, or of one field of it. */
export interface QueryCheck {
  readonly id: string;
  /** Its namespace. */
  readonly entity: string;
  readonly label?: string | null;
  readonly record: Readonly<Record<string, any>>;
  readonly check: any;
  readonly [more: string]: any;
}

/** What a tried write would do, and what each rule said of it. */
export interface DebugTransactResult {
  readonly 'tx-id': number;
  readonly 'all-checks-ok?'?: boolean;
  readonly 'check-results'?: readonly Readonly<Record<string, any>>[];
  readonly [more: string]: any;
}

/** One app's data, for the app's own server: over HTTP, with no store and no rules. */
export class AdminDatabase {
  readonly tx: TxBuilder = tx;
  /** Users, their tokens and codes. */
  readonly auth: AdminAuth;
  readonly storage: AdminStorage;
  readonly rooms: AdminRooms;
  readonly streams: AdminStreams;
  readonly webhooks: Webhooks;
  readonly #environment: HttpEnvironment;
  readonly #requests: Requests;
  readonly #credentials: Credentials;
  readonly #schema: SchemaShape | undefined;
  readonly #config: AdminConfig;

  constructor(config: AdminConfig, environment: HttpEnvironment, impersonated?: Impersonated) {
    this.#config = config;
    this.#environment = environment;
    this.#schema = config.schema;
    this.#requests = new Requests(environment, originOf(config));
    this.#credentials = { ...credentialsOf(config), impersonated };
    this.auth = new AdminAuth(this.#requests, this.#credentials);
    this.storage = new AdminStorage(this.#requests, this.#credentials, environment);
    this.rooms = new AdminRooms(this.#requests, this.#credentials);
    this.streams = new AdminStreams(this.#requests, this.#credentials, environment);
    const admin = { ...this.#credentials, impersonated: undefined };
    const ask = async <T>(asked: Asked) =>
      this.#requests.json<T>({ ...asked, headers: headersOf(admin) });
    this.webhooks = new Webhooks(this.#requests, environment, ask, admin.appId);
  }

  /**
   * The same app as a user sees it: rules are asked. By address it takes the admin token; by
   * refresh token and as a guest it does not. `auth` and `rooms` stay the admin's.
   */
  asUser = (whom: Impersonated): AdminDatabase =>
    new AdminDatabase(this.#config, this.#environment, whom);

  /** Asks once. */
  query = async (query: object, opts: AdminQueryOptions = {}): Promise<Data> =>
    this.#post<Data>('/admin/query', this.#question(query, opts.ruleParams), opts.fetchOpts);

  /**
   * Asks, and goes on to tell what is found whenever it changes. Lost connections are made anew.
   *
   *     const todos = db.subscribeQuery({ todos: {} });
   *     for await (const payload of todos) if (payload.type === 'ok') show(payload.data);
   *
   * tell  called with each payload; `for await` reads them too
   */
  subscribeQuery = (
    query: object,
    tell?: (payload: Payload<Data>) => void,
    opts: AdminQueryOptions = {},
  ): Subscription<Data> => {
    const asked: Asked = {
      method: 'POST',
      path: '/admin/subscribe-query',
      params: { local_connection_id: this.#environment.id() },
      headers: headersOf(this.#credentials),
      json: this.#question(query, opts.ruleParams),
      fetchOpts: opts.fetchOpts,
    };
    return new Subscription<Data>(this.#requests, this.#environment, asked, tell);
  };

  /** Writes, all or nothing. Resolves once it is stored. */
  transact = async (chunks: AnyChunk | readonly AnyChunk[]): Promise<{ 'tx-id': number }> =>
    this.#post('/admin/transact', {
      steps: operationsOf(chunks),
      'throw-on-missing-attrs?': this.#schema !== undefined,
    });

  /** What a user would find, and what each rule said. Behind `asUser`, with the admin token. */
  debugQuery = async (
    query: object,
    opts: DebugQueryOptions = {},
  ): Promise<{ result: Data; checkResults: QueryCheck[] }> => {
    const { cardinalityInference, ruleParams } = opts;
    const answer = await this.#post<{ result: Data; 'check-results': QueryCheck[] }>(
      '/admin/query_perms_check',
      { ...this.#question(query, ruleParams, cardinalityInference), ...overridesOf(opts) },
    );
    return { result: answer.result, checkResults: answer['check-results'] };
  };

  /** What a write of a user would do, and what each rule said. Nothing is written. */
  debugTransact = async (
    chunks: AnyChunk | readonly AnyChunk[],
    opts: DebugOptions = {},
  ): Promise<DebugTransactResult> =>
    this.#post('/admin/transact_perms_check', {
      steps: operationsOf(chunks),
      ...overridesOf(opts),
    });

  #question(query: object, ruleParams?: object, isInferring = this.#schema !== undefined): object {
    return {
      query: ruleParams ? { $$ruleParams: ruleParams, ...query } : query,
      'inference?': isInferring,
    };
  }

  async #post<T>(path: string, json: object, fetchOpts?: AdminQueryOptions['fetchOpts']) {
    const headers = headersOf(this.#credentials);
    return this.#requests.json<T>({ method: 'POST', path, headers, json, fetchOpts });
  }
}

function credentialsOf({ appId, adminToken }: AdminConfig): Omit<Credentials, 'impersonated'> {
  const id = typeof appId === 'string' ? appId.trim() : '';
  if (id !== '') return { appId: id, adminToken: adminToken?.trim() || undefined };
  throw new TriceError({
    code: 'config-malformed',
    message: '`init` takes the id of the app as `appId`; the dashboard and `trice apps` show it.',
  });
}

function overridesOf({ rules, ip, origin }: DebugOptions): object {
  return {
    ...(rules ? { 'rules-override': rules } : {}),
    ...(ip ? { 'ip-override': ip } : {}),
    ...(origin ? { 'origin-override': origin } : {}),
  };
}
