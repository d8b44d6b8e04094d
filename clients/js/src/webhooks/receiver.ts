import { TriceError } from '../errors.ts';
import type { HttpEnvironment } from '../http/environment.ts';
import type { Asked, Requests } from '../http/requests.ts';
import { isObject } from '../values/json.ts';
import { type WebhookAction, type WebhookPayload, WebhooksManager } from './webhooks.ts';

/** A delivery may be so old, and a clock be so wrong. */
const TOLERANCE_S = 300;

/** What a delivery holds: where the changes are fetched, and with what. */
export interface WebhookBody {
  readonly payloadUrl: string;
  readonly token: string;
}

/** One change of an entity, with the row before and after. */
export type WebhookRecord = WebhookPayload['data'][number];
/** Called with each change; the delivery has failed if it throws. */
export type WebhookHandler = (record: WebhookRecord) => unknown;

/** Functions by namespace and action; `$default` stands for all that are not named. */
export type WebhookHandlers = {
  readonly [namespace: string]:
    { readonly [A in WebhookAction | '$default']?: WebhookHandler } | WebhookHandler | undefined;
  readonly $default?: WebhookHandler;
};

/** How old a delivery may be. */
export interface ValidateOptions {
  /** When it came; now, if it is not given. */
  readonly receivedAt?: Date | null;
  /** Seconds by which it may be older or newer; 300 if it is not given. */
  readonly tolerance?: number | null;
}

/** Webhooks of one app: for who is told, and for who says who is told. */
export class Webhooks {
  /** Makes and lists them; needs the admin token. */
  readonly manager: WebhooksManager;
  readonly #requests: Requests;
  readonly #environment: HttpEnvironment;
  /** Keys of the server by their ids: it has one or two. */
  readonly #keys = new Map<string, object>();

  /** ask  sends a request with what gives the right to manage webhooks */
  constructor(
    requests: Requests,
    environment: HttpEnvironment,
    ask: <T>(asked: Asked) => Promise<T>,
    appId: string,
  ) {
    this.#requests = requests;
    this.#environment = environment;
    this.manager = new WebhooksManager(ask, appId);
  }

  /**
   * Checks that the server sent a delivery.
   *
   * signature  the header `instant-signature`
   * body       as it came, byte for byte
   * raises     TriceError `signature-invalid`
   */
  validate = async (
    signature: string,
    body: string,
    opts: ValidateOptions = {},
  ): Promise<WebhookBody> => {
    const { t, kid, v1 } = partsOf(signature);
    const nowMs = opts.receivedAt?.getTime() ?? this.#environment.now();
    const ageS = Math.abs(nowMs / 1_000 - Number(t));
    if (!(ageS <= (opts.tolerance ?? TOLERANCE_S))) throw invalid('It is too old, or too new.');
    const key = await this.#key(kid);
    if (!(await this.#environment.verify(key, bytesOf(v1), `${t}.${body}`)))
      throw invalid('It was not made by the server, or the body has changed on its way.');
    const json: unknown = JSON.parse(body);
    if (isObject(json) && typeof json.payloadUrl === 'string' && typeof json.token === 'string')
      return { payloadUrl: json.payloadUrl, token: json.token };
    throw invalid('Its body names no `payloadUrl` and `token`.');
  };

  /** The same for a request of the web, whose body it reads. */
  validateRequest = async (
    request: { readonly headers: { get(name: string): string | null }; text(): Promise<string> },
    opts?: ValidateOptions,
  ): Promise<WebhookBody> => {
    const signature = request.headers.get('instant-signature') ?? '';
    return this.validate(signature, await request.text(), opts);
  };

  /** The changes that a delivery tells of. */
  fetchPayloads = ({ payloadUrl, token }: WebhookBody): Promise<WebhookPayload> =>
    this.#requests.json<WebhookPayload>({
      method: 'GET',
      path: payloadUrl,
      headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
    });

  /** Calls a function for each change, and waits for all. Rejects if one does. */
  processPayload = async (handlers: WebhookHandlers, payload: WebhookPayload): Promise<void> => {
    await Promise.all(
      payload.data.map(async (record) => {
        const own = handlers[record.namespace];
        const named = typeof own === 'object' ? (own[record.action] ?? own.$default) : own;
        await (named ?? handlers.$default)?.(record);
      }),
    );
  };

  /**
   * All of it: for an endpoint that webhooks call. A rejection is to be answered with an error, so
   * that the server tries again; the same change may therefore come twice, with one
   * `idempotencyKey`.
   */
  processRequest = async (
    handlers: WebhookHandlers,
    request: Parameters<Webhooks['validateRequest']>[0],
    opts?: ValidateOptions,
  ): Promise<void> => {
    const body = await this.validateRequest(request, opts);
    await this.processPayload(handlers, await this.fetchPayloads(body));
  };

  async #key(kid: string): Promise<object> {
    if (!this.#keys.has(kid)) {
      const path = '/.well-known/webhooks/jwks.json';
      const { keys } = await this.#requests.json<{ keys: { kid: string }[] }>({
        method: 'GET',
        path,
      });
      for (const key of keys) this.#keys.set(key.kid, key);
    }
    const key = this.#keys.get(kid);
    if (key) return key;
    throw invalid('The server has no such key.');
  }
}

/** `t=1700000000,kid=…,v1=<hex>` */
function partsOf(signature: string): { t: string; kid: string; v1: string } {
  const parts = Object.fromEntries(
    signature.split(',').map((part) => {
      const [name, ...value] = part.trim().split('=');
      return [name, value.join('=')];
    }),
  ) as Record<string, string | undefined>;
  const { t, kid, v1 } = parts;
  if (t && kid && v1) return { t, kid, v1 };
  throw invalid('The header `instant-signature` is missing, or not whole.');
}

function bytesOf(hex: string): Uint8Array {
  if (!/^(?:[0-9a-f]{2})+$/i.test(hex)) throw invalid('It is no hexadecimal number.');
  return Uint8Array.from(hex.match(/../g)!, (pair) => parseInt(pair, 16));
}

function invalid(why: string): TriceError {
  const message = `The signature of a webhook does not hold. ${why}`;
  return new TriceError({ code: 'signature-invalid', message });
}
