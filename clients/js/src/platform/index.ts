import { fetchEnvironment } from '../web/fetch.ts';
import { originOf } from '../http/origin.ts';
import { Requests } from '../http/requests.ts';
import { PlatformApi as Api, type PlatformConfig } from './api.ts';
import { type AccessToken, type CodeExchange, exchangeCode } from './tokens.ts';

/**
 * Apps of an account: made, changed and deleted by a program.
 *
 *     const api = new PlatformApi({ auth: { token: 'per_…' }, server: 'https://example.org' });
 *     const { app } = await api.createApp({ title: 'Shop', schema, perms });
 */
export class PlatformApi extends Api {
  constructor(config: PlatformConfig = {}) {
    super(config, fetchEnvironment());
  }
}

/** Tokens for the code with which an OAuth grant sent an account back. */
export function exchangeCodeForToken(
  given: CodeExchange & Pick<PlatformConfig, 'server' | 'apiURI'>,
): Promise<AccessToken & { readonly refreshToken: string }> {
  const environment = fetchEnvironment();
  return exchangeCode(new Requests(environment, originOf(given)), environment.now, given);
}

export { TriceError } from '../errors.ts';
export { i } from '../schema/define.ts';
export * from './instant-names.ts';
export type { SchemaShape } from '../schema/shape.ts';
export type { ApiAttr, Ident } from './api-schema.ts';
export type { PlatformConfig } from './api.ts';
export type { App, Included, NewApp, Org, Rules } from './apps.ts';
export type { Backup, BackupFile, BackupPart, Backups } from './backups.ts';
export type { Rename } from './diff.ts';
export type { Job, PushStatus, PushStep } from './jobs.ts';
export type { ProgressObserver, ProgressPromise } from './progress.ts';
export type { PushResult, SchemaPlan, SchemaPush } from './schemas.ts';
export type { JobStep, JobType, PlanStep } from './steps.ts';
export type { AccessToken, CodeExchange, PlatformAuth } from './tokens.ts';
export type {
  Webhook,
  WebhookAction,
  WebhookAttempt,
  WebhookEvent,
  WebhookEvents,
  WebhookParams,
  WebhookPayload,
  WebhooksManager,
} from '../webhooks/webhooks.ts';
export type {
  ValidateOptions,
  WebhookBody,
  WebhookHandler,
  WebhookHandlers,
  WebhookRecord,
  Webhooks,
} from '../webhooks/receiver.ts';
