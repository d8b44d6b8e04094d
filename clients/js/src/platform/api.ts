import type { HttpEnvironment } from '../http/environment.ts';
import { originOf } from '../http/origin.ts';
import { type Asked, Requests } from '../http/requests.ts';
import type { SchemaShape } from '../schema/shape.ts';
import { Webhooks } from '../webhooks/receiver.ts';
import {
  type App,
  appOf,
  type AppRow,
  type Included,
  type NewApp,
  newAppOf,
  type Org,
  type Rules,
} from './apps.ts';
import { Backups } from './backups.ts';
import type { PushStatus } from './jobs.ts';
import { ProgressPromise } from './progress.ts';
import { pathOf, type PushResult, type SchemaPlan, type SchemaPush, Schemas } from './schemas.ts';
import { type AccessToken, type PlatformAuth, Tokens } from './tokens.ts';

/** What `new PlatformApi` takes. */
export interface PlatformConfig {
  /** Who asks. `createTemporaryApp` does without. */
  readonly auth?: PlatformAuth | undefined;
  /** The address of the server. */
  readonly server?: string | undefined;
  /** The same in the words of the original's client. */
  readonly apiURI?: string | undefined;
}

/** Apps of an account: made, changed and deleted by a program. */
export class PlatformApi {
  readonly #environment: HttpEnvironment;
  readonly #requests: Requests;
  readonly #tokens: Tokens;
  readonly #schemas: Schemas;

  constructor(config: PlatformConfig, environment: HttpEnvironment) {
    this.#environment = environment;
    this.#requests = new Requests(environment, originOf(config));
    this.#tokens = new Tokens(environment, this.#requests, config.auth);
    this.#schemas = new Schemas(this.#tokens, environment);
  }

  /** Apps of the account itself. */
  async getApps(wanted?: Included): Promise<{ apps: App[] }> {
    return this.#apps('/superadmin/apps', wanted);
  }

  /** Organisations that the account is a member of. */
  async getOrgs(): Promise<{ orgs: Org[] }> {
    const { orgs } = await this.#get<{ orgs: AppRow[] }>('/superadmin/orgs');
    return {
      orgs: orgs.map(({ id, title, created_at: at }) => ({ id, title, createdAt: new Date(at) })),
    };
  }

  /** Apps of an organisation. */
  async getAppsForOrg(orgId: string, wanted?: Included): Promise<{ apps: App[] }> {
    return this.#apps(`/superadmin/orgs/${encodeURIComponent(orgId)}/apps`, wanted);
  }

  /** One app. */
  async getApp(appId: string, wanted: Included = {}): Promise<{ app: App }> {
    const [{ app }, perms, schema] = await Promise.all([
      this.#get<{ app: AppRow }>(pathOf(appId)),
      wanted.includePerms ? this.getPerms(appId) : {},
      wanted.includeSchema ? this.getSchema(appId) : {},
    ]);
    return { app: { ...appOf(app), ...perms, ...schema } };
  }

  /** Makes an app with its schema and rules, or nothing. Of the account, or of an organisation. */
  async createApp(fields: {
    readonly title: string;
    readonly schema?: SchemaShape | null;
    readonly perms?: Rules | null;
    readonly orgId?: string | null;
  }): Promise<{ app: NewApp }> {
    const { title, schema, perms, orgId } = fields;
    const json = { title, schema, perms, org_id: orgId ?? undefined };
    const { app } = await this.#post<{ app: AppRow }>('/superadmin/apps', json);
    return { app: newAppOf(app) };
  }

  /** Makes an app that lives for two weeks, without an account. */
  async createTemporaryApp(fields: {
    readonly title: string;
    readonly schema?: SchemaShape | null;
    readonly rules?: { readonly code: Rules } | null;
  }): Promise<{ app: NewApp; expiresMs: number }> {
    const path = '/dash/apps/ephemeral';
    const answer = await this.#requests.json<{ app: AppRow; expires_ms: number }>({
      ...{ method: 'POST', path, json: fields },
    });
    return { app: newAppOf(answer.app), expiresMs: answer.expires_ms };
  }

  /** Renames an app. */
  async updateApp(appId: string, { title }: { readonly title: string }): Promise<{ app: App }> {
    return { app: appOf((await this.#post<{ app: AppRow }>(pathOf(appId), { title })).app) };
  }

  /** The server keeps it for a while, for `restore`. An admin token is not enough. */
  async deleteApp(appId: string): Promise<{ app: App }> {
    const asked: Asked = { method: 'DELETE', path: pathOf(appId) };
    return { app: appOf((await this.#tokens.ask<{ app: AppRow }>(asked)).app) };
  }

  /** The rules of an app; null where it has none. */
  async getPerms(appId: string): Promise<{ perms: Rules | null }> {
    const { perms } = await this.#get<{ perms: Rules | null }>(pathOf(appId, 'perms'));
    return { perms };
  }

  /** Puts rules in the place of all that there are. */
  async pushPerms(appId: string, { perms }: { readonly perms: Rules }): Promise<{ perms: Rules }> {
    const path = pathOf(appId, 'perms');
    const { rules } = await this.#post<{ rules: { code: Rules } }>(path, { code: perms });
    return { perms: rules.code };
  }

  /** The schema of an app. */
  async getSchema(appId: string): Promise<{ schema: SchemaShape }> {
    return { schema: await this.#schemas.get(appId) };
  }

  /** What a push would do. */
  async planSchemaPush(appId: string, push: SchemaPush): Promise<SchemaPlan> {
    return this.#schemas.plan(appId, push);
  }

  /**
   * Pushes a schema. Resolves when the server is done with the rows too; a row that does not fit
   * ends its step with an error, and the promise does not reject for it.
   *
   *     const push = api.schemaPush(appId, { schema });
   *     push.subscribe({ next: ({ friendlyDescription }) => console.log(friendlyDescription) });
   *     const { summary } = await push;
   */
  schemaPush(appId: string, push: SchemaPush): ProgressPromise<PushStatus, PushResult> {
    return new ProgressPromise((tell) => this.#schemas.push(appId, push, tell));
  }

  /** Of an OAuth access token. */
  async tokenInfo(): Promise<{ tokenType: 'Bearer'; scopes: string; expiresAt: Date }> {
    const answer = await this.#tokens.withToken((token) =>
      this.#requests.json<{ token_type: 'Bearer'; scopes: string; expires_in: number }>({
        method: 'GET',
        path: '/platform/oauth/token-info',
        params: { access_token: token },
      }),
    );
    const expiresAt = new Date(this.#environment.now() + answer.expires_in * 1_000);
    return { tokenType: answer.token_type, scopes: answer.scopes, expiresAt };
  }

  /** A new access token by the refresh token; null where there is none. Calls do so themselves. */
  async refreshToken(): Promise<AccessToken | null> {
    return this.#tokens.refresh();
  }

  /** Webhooks of an app. */
  webhooks(appId: string): Webhooks {
    const ask = <T>(asked: Asked) => this.#tokens.ask<T>(asked);
    return new Webhooks(this.#requests, this.#environment, ask, appId);
  }

  /** Backups of an app. */
  backups(appId: string): Backups {
    return new Backups(this.#tokens, this.#requests, appId);
  }

  async #apps(
    path: string,
    { includePerms, includeSchema }: Included = {},
  ): Promise<{ apps: App[] }> {
    const wanted = [includePerms ? 'perms' : '', includeSchema ? 'schema' : ''].filter(Boolean);
    const params = wanted.length > 0 ? { include: wanted.join(',') } : {};
    return { apps: (await this.#get<{ apps: AppRow[] }>(path, params)).apps.map(appOf) };
  }

  #get<T>(path: string, params: Record<string, string> = {}): Promise<T> {
    return this.#tokens.ask<T>({ method: 'GET', path, params });
  }

  #post<T>(path: string, json: object): Promise<T> {
    return this.#tokens.ask<T>({ method: 'POST', path, json });
  }
}
