import type { Asked } from '../http/requests.ts';

/** What was done to an entity. */
export type WebhookAction = 'create' | 'update' | 'delete';

/** Who is told of which changes. */
export interface Webhook {
  readonly id: string;
  readonly sink: { readonly url: string };
  readonly namespaces: readonly string[];
  readonly actions: readonly WebhookAction[];
  readonly status: 'active' | 'disabled';
  readonly disabledReason: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** One attempt to deliver an event. What is not known of it is null. */
export interface WebhookAttempt {
  readonly attemptAt: Date | null;
  readonly durationMs: number | null;
  readonly success: boolean | null;
  readonly statusCode: number | null;
  readonly responseText: string | null;
  readonly errorType: string | null;
  readonly errorMessage: string | null;
}

/** A change that a receiver is told of, and how that goes. */
export interface WebhookEvent {
  /** Its place in the server's log; names it. */
  readonly isn: string;
  readonly status: 'pending' | 'processing' | 'success' | 'error' | 'failed';
  readonly attempts: readonly WebhookAttempt[] | null;
  readonly nextAttemptAfter: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What a receiver gets: each change of an entity, with the row before and after. */
export interface WebhookPayload {
  readonly data: readonly {
    readonly namespace: string;
    readonly id: string;
    readonly action: WebhookAction;
    readonly before: Readonly<Record<string, any>> | null;
    readonly after: Readonly<Record<string, any>> | null;
    readonly idempotencyKey: string;
  }[];
  readonly idempotencyKey: string;
}

/** A page of events. */
export interface WebhookEvents {
  /** Newest first. */
  readonly events: readonly WebhookEvent[];
  readonly pageInfo: {
    readonly startCursor: string | null;
    readonly endCursor: string | null;
    readonly hasNextPage: boolean;
  };
}

/** What a webhook is made of. */
export interface WebhookParams {
  readonly url: string;
  readonly namespaces: readonly string[];
  readonly actions: readonly WebhookAction[];
}

type Row = Readonly<Record<string, any>>;

/** Webhooks of one app: who is told of its changes, and how it went. */
export class WebhooksManager {
  readonly #ask: <T>(asked: Asked) => Promise<T>;
  readonly #appId: string;
  readonly #path: string;

  /** ask  sends a request with what gives the right to */
  constructor(ask: <T>(asked: Asked) => Promise<T>, appId: string) {
    this.#ask = ask;
    this.#appId = encodeURIComponent(appId);
    this.#path = `/dash/apps/${this.#appId}/webhooks`;
  }

  /** All of them. */
  list = async (): Promise<Webhook[]> =>
    (await this.#get<{ webhooks: Row[] }>('')).webhooks.map(webhookOf);

  /** Tells an address of changes from now on. */
  create = (params: WebhookParams): Promise<Webhook> => this.#one('POST', '', params);

  /** What is not given stays. */
  update = (webhookId: string, params: Partial<WebhookParams>): Promise<Webhook> =>
    this.#one('POST', at(webhookId), params);

  /** Tells it nothing any more. */
  delete = (webhookId: string): Promise<Webhook> => this.#one('DELETE', at(webhookId));

  /** Goes on to tell a receiver that was disabled. */
  enable = (webhookId: string): Promise<Webhook> => this.#one('POST', at(webhookId, 'enable'), {});

  /** What happens meanwhile is not told when it is enabled again. */
  disable = (webhookId: string, opts?: { reason?: string | null }): Promise<Webhook> =>
    this.#one('POST', at(webhookId, 'disable'), opts?.reason ? { reason: opts.reason } : {});

  /** after  the `endCursor` of a page before */
  listEvents = async (
    webhookId: string,
    opts?: { after?: string | null },
  ): Promise<WebhookEvents> => {
    const path = at(webhookId, 'events');
    const answer = await this.#get<{ events: Row[]; pageInfo?: Row }>(
      path,
      opts?.after ? { after: opts.after } : {},
    );
    return {
      events: answer.events.map(eventOf),
      pageInfo: {
        startCursor: answer.pageInfo?.startCursor ?? null,
        endCursor: answer.pageInfo?.endCursor ?? null,
        hasNextPage: answer.pageInfo?.hasNextPage ?? false,
      },
    };
  };

  /** One event, by its place in the log. */
  getEvent = async (webhookId: string, isn: string): Promise<WebhookEvent> =>
    eventOf((await this.#get<{ event: Row }>(at(webhookId, 'events', isn))).event);

  /** What the receiver of an event gets. */
  getPayload = (webhookId: string, isn: string): Promise<WebhookPayload> =>
    this.#ask({ method: 'GET', path: `/webhooks/payload/${this.#appId}${at(webhookId, isn)}` });

  /** Delivers an event once more, under the same key. */
  resendEvent = async (webhookId: string, isn: string): Promise<WebhookEvent> => {
    const path = this.#path + at(webhookId, 'events', isn);
    return eventOf((await this.#ask<{ event: Row }>({ method: 'POST', path, json: {} })).event);
  };

  #get<T>(path: string, params: Record<string, string> = {}): Promise<T> {
    return this.#ask<T>({ method: 'GET', path: this.#path + path, params });
  }

  async #one(method: 'POST' | 'DELETE', path: string, json?: object): Promise<Webhook> {
    const asked: Asked = { method, path: this.#path + path, ...(json ? { json } : {}) };
    return webhookOf((await this.#ask<{ webhook: Row }>(asked)).webhook);
  }
}

/** An isn has slashes, which are part of the path. */
function at(...parts: string[]): string {
  return `/${parts.map((part) => part.split('/').map(encodeURIComponent).join('/')).join('/')}`;
}

function webhookOf(row: Row): Webhook {
  return {
    id: row.id,
    sink: row.sink,
    namespaces: row.namespaces ?? [],
    actions: row.actions,
    status: row.status,
    disabledReason: row.disabled_reason ?? null,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

function eventOf(row: Row): WebhookEvent {
  return {
    isn: row.isn,
    status: row.status,
    attempts: row.attempts?.map(attemptOf) ?? null,
    nextAttemptAfter: dateOf(row.next_attempt_after),
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

function attemptOf(row: Row): WebhookAttempt {
  return {
    attemptAt: dateOf(row['attempt-at']),
    durationMs: row['duration-ms'] ?? null,
    success: row['success?'] ?? null,
    statusCode: row['status-code'] ?? null,
    responseText: row['response-text'] ?? null,
    errorType: row['error-type'] ?? null,
    errorMessage: row['error-message'] ?? null,
  };
}

function dateOf(text: unknown): Date | null {
  return typeof text === 'string' ? new Date(text) : null;
}
