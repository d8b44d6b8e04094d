import type { SchemaShape } from '../schema/shape.ts';
import { type ApiSchema, schemaOf } from './api-schema.ts';

/** Rules by namespace, as `instant.perms.ts` has them. */
export type Rules = Readonly<Record<string, any>>;

/** What comes with apps. */
export interface Included {
  readonly includePerms?: boolean | null;
  readonly includeSchema?: boolean | null;
}

/** An app of an account. */
export interface App {
  readonly id: string;
  readonly title: string;
  readonly createdAt: Date;
  /** The organisation that it belongs to. */
  readonly orgId: string | null;
  /** With `includePerms`; null where it has no rules. */
  readonly perms?: Rules | null;
  /** With `includeSchema`. */
  readonly schema?: SchemaShape;
}

/** An app that was just made: its admin token is told only here. */
export type NewApp = App & { readonly adminToken: string };

/** An organisation, to which accounts and apps belong. */
export interface Org {
  readonly id: string;
  readonly title: string;
  readonly createdAt: Date;
}

/** An app, or an organisation, as it travels. */
export interface AppRow {
  readonly id: string;
  readonly title: string;
  readonly created_at: string;
  readonly org_id?: string | null;
  readonly 'admin-token'?: string;
  readonly perms?: Rules | null;
  readonly schema?: ApiSchema;
}

export function appOf(row: AppRow): App {
  return {
    id: row.id,
    title: row.title,
    createdAt: new Date(row.created_at),
    orgId: row.org_id ?? null,
    ...('admin-token' in row ? { adminToken: row['admin-token'] } : {}),
    ...('perms' in row ? { perms: row.perms ?? null } : {}),
    ...(row.schema ? { schema: schemaOf(row.schema) } : {}),
  };
}

export function newAppOf(row: AppRow): NewApp {
  return { ...appOf(row), adminToken: row['admin-token'] ?? '' };
}
