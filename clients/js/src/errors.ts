import { isObject } from './values/json.ts';

/** What a failure carries beside its message. */
export interface ErrorBody {
  /** Of the registry in spec/errors.md, or one of the client's own: `offline`, `pending-full` … */
  readonly code: string;
  readonly message: string;
  /** For programs: where it was, and what is accepted. */
  readonly hint?: Readonly<Record<string, unknown>> | undefined;
  /** Names the failure in the server's log. */
  readonly traceId?: string | undefined;
  readonly status?: number | undefined;
}

/** A failure of the server or of the client. Match `code`, never the message. */
export class TriceError extends Error implements ErrorBody {
  readonly code: string;
  readonly hint: Readonly<Record<string, unknown>> | undefined;
  readonly traceId: string | undefined;
  readonly status: number | undefined;

  constructor(body: ErrorBody) {
    super(body.message);
    this.name = 'TriceError';
    this.code = body.code;
    this.hint = body.hint;
    this.traceId = body.traceId;
    this.status = body.status;
  }

  /** The same, under the name that the original's client has for it. */
  get body(): ErrorBody & { readonly type: string } {
    const { code, message, hint, traceId, status } = this;
    return { type: code, code, message, hint, traceId, status };
  }

  /** Reads an `error` message, or the body of an HTTP error. */
  static of(body: unknown, status?: number): TriceError {
    const given = isObject(body) ? body : {};
    return new TriceError({
      code: textOf(given.type) ?? 'unknown',
      message: textOf(given.message) ?? 'The server answered with an error.',
      hint: isObject(given.hint) ? given.hint : undefined,
      traceId: textOf(given['trace-id']),
      status: typeof given.status === 'number' ? given.status : status,
    });
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** The sentence of a failure, by its name and hint. */
export type Explain = (name: string, hint: ErrorBody['hint']) => string;

let explain: Explain = (name, hint) => `${name} ${JSON.stringify(hint ?? {})}`;

/** From now on failures of the client are explained so; before, by their name and hint. */
export function explainBy(explanation: Explain): void {
  explain = explanation;
}

/**
 * A failure of the client itself.
 *
 * name  a code, and behind a slash what tells failures of one code apart, as in the table of texts
 */
export function failure(name: string, hint?: ErrorBody['hint']): TriceError {
  return new TriceError({ code: name.split('/')[0]!, message: explain(name, hint), hint });
}
