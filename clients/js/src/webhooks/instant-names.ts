/** Names of the original's packages for what has another name here. */
import type { WebhookParams } from './webhooks.ts';

export type {
  WebhookHandler as WebhookHandlerFn,
  WebhookRecord as WebhookPayloadRecord,
} from './receiver.ts';
export type {
  Webhook as WebhookInfo,
  WebhookEvent as WebhookEventInfo,
  WebhookEvents as WebhookEventsPage,
  WebhookParams as CreateWebhookParams,
} from './webhooks.ts';
/** The original's name for this type. */
export type UpdateWebhookParams = Partial<WebhookParams>;
