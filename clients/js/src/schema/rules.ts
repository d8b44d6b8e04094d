import type { AnySchema, NamespaceOf, UnknownSchema } from './infer.ts';

/** Conditions in CEL, by what is allowed; null is no condition of its own. */
export interface Allowed {
  readonly $default?: string | null;
  readonly view?: string | null;
  readonly create?: string | null;
  readonly update?: string | null;
  readonly delete?: string | null;
  /** By label of the link. */
  readonly link?: Readonly<Record<string, string>> | null;
  readonly unlink?: Readonly<Record<string, string>> | null;
}

/** Rules of a namespace. */
export interface NamespaceRules<Field extends PropertyKey> {
  readonly allow?: Allowed;
  /** Who may see a field, where that is fewer than see the rest. */
  readonly fields?: { readonly [K in Field]?: string };
  /** Names for conditions: `{ isOwner: '…' }`, or names and conditions in turn. */
  readonly bind?: readonly string[] | Readonly<Record<string, string>>;
}

/** A bucket of tokens for each key that `rateLimit.<name>.limit(key)` names. */
export interface RateLimit {
  readonly limits: readonly {
    /** The most tokens that it holds. */
    readonly capacity: number;
    readonly refill?: {
      /** Tokens a period; without this as many as it holds. */
      readonly amount?: number | null;
      /** Such as `30 minutes`: 1 second to 24 hours. Without this 1 hour. */
      readonly period?: string | null;
      /** All along, or all at the end of the period. */
      readonly type?: 'greedy' | 'interval' | null;
    } | null;
  }[];
}

type RateLimits = Readonly<Record<string, RateLimit>>;

/** Rules of an app, as `instant.perms.ts` exports them. */
export type InstantRules<S extends AnySchema = UnknownSchema> =
  string extends NamespaceOf<S>
    ? { readonly [namespace: string]: NamespaceRules<string> | RateLimits }
    : {
        readonly [E in NamespaceOf<S>]?: NamespaceRules<keyof S['writes'][E]>;
      } & {
        readonly $default?: NamespaceRules<never>;
        readonly attrs?: NamespaceRules<never>;
        readonly $rateLimits?: RateLimits;
      };
