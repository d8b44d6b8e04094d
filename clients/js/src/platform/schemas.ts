import { TriceError } from '../errors.ts';
import type { HttpEnvironment } from '../http/environment.ts';
import type { SchemaShape } from '../schema/shape.ts';
import { type ApiAttr, type ApiSchema, attrsOf, schemaOf } from './api-schema.ts';
import { diff, type Rename } from './diff.ts';
import {
  type ApiJob,
  type PushStatus,
  type PushStep,
  pushStepsOf,
  statusOf,
  untilDone,
} from './jobs.ts';
import { type ApiStep, type PlanStep, planStepsOf } from './steps.ts';
import type { Tokens } from './tokens.ts';

/** A schema to push. With `overwrite`, what it does not have is deleted. */
export type SchemaPush =
  | { readonly schema: SchemaShape; readonly overwrite?: false }
  | {
      readonly schema: SchemaShape;
      readonly overwrite: true;
      readonly renames?: readonly Rename[];
    };

/** What a push would change. */
export interface SchemaPlan {
  readonly newSchema: SchemaShape;
  readonly currentSchema: SchemaShape;
  readonly steps: readonly PlanStep[];
}

/** What a push changed. */
export interface PushResult {
  readonly newSchema: SchemaShape;
  readonly steps: readonly PushStep[];
  readonly summary: PushStatus;
}

interface Pushed {
  readonly steps: readonly ApiStep[];
  readonly 'indexing-jobs'?: { 'group-id': string; jobs: readonly ApiJob[] } | null;
}

/** Schemas of apps: read, planned and pushed. */
export class Schemas {
  readonly #tokens: Tokens;
  readonly #environment: HttpEnvironment;

  constructor(tokens: Tokens, environment: HttpEnvironment) {
    this.#tokens = tokens;
    this.#environment = environment;
  }

  async get(appId: string): Promise<SchemaShape> {
    return schemaOf(await this.#apiSchema(appId));
  }

  async plan(appId: string, push: SchemaPush): Promise<SchemaPlan> {
    if (isOverwriting(push)) {
      const current = await this.#apiSchema(appId);
      const attrs = attrsOf(current);
      const steps = planStepsOf(this.#diff(attrs, push), attrs);
      return { newSchema: push.schema, currentSchema: schemaOf(current), steps };
    }
    const plan = await this.#post<{
      'new-schema': ApiSchema;
      'current-schema': ApiSchema;
      'current-attrs': ApiAttr[];
      steps: ApiStep[];
    }>(pathOf(appId, 'schema/push/plan'), bodyOf(push));
    return {
      newSchema: schemaOf(plan['new-schema']),
      currentSchema: schemaOf(plan['current-schema']),
      steps: planStepsOf(plan.steps, plan['current-attrs']),
    };
  }

  /** tell  called each time the jobs were looked at */
  async push(
    appId: string,
    push: SchemaPush,
    tell: (status: PushStatus) => void,
  ): Promise<PushResult> {
    const attrs = attrsOf(await this.#apiSchema(appId));
    const pushed = isOverwriting(push)
      ? await this.#post<Pushed>(dashPathOf(appId, 'schema/steps/apply'), {
          steps: this.#diff(attrs, push),
        })
      : await this.#post<Pushed>(pathOf(appId, 'schema/push/apply'), bodyOf(push));
    const group = pushed['indexing-jobs'];
    const stepsOf = (jobs: readonly ApiJob[]) => pushStepsOf(pushed.steps, jobs, attrs);
    const jobs = await untilDone(
      group?.jobs ?? [],
      () => this.#jobs(appId, group!['group-id']),
      (ms) => new Promise((resolve) => this.#environment.timer(ms, () => resolve())),
      (now) => tell(statusOf(stepsOf(now))),
    );
    const steps = stepsOf(jobs);
    return { newSchema: schemaOf(await this.#apiSchema(appId)), steps, summary: statusOf(steps) };
  }

  async #jobs(appId: string, groupId: string): Promise<readonly ApiJob[]> {
    const path = dashPathOf(appId, `indexing-jobs/group/${groupId}`);
    return (await this.#get<{ jobs: ApiJob[] }>(path)).jobs;
  }

  #diff(attrs: readonly ApiAttr[], push: SchemaPush): ApiStep[] {
    const renames = 'renames' in push ? (push.renames ?? []) : [];
    return diff(attrs, push.schema, renames, this.#environment.id);
  }

  async #apiSchema(appId: string): Promise<ApiSchema> {
    return (await this.#get<{ schema: ApiSchema }>(pathOf(appId, 'schema'))).schema;
  }

  #get<T>(path: string): Promise<T> {
    return this.#tokens.ask<T>({ method: 'GET', path });
  }

  #post<T>(path: string, json: object): Promise<T> {
    return this.#tokens.ask<T>({ method: 'POST', path, json });
  }
}

/** Where an app is. */
export function pathOf(appId: string, rest?: string): string {
  return `/superadmin/apps/${encodeURIComponent(appId)}${rest ? `/${rest}` : ''}`;
}

function dashPathOf(appId: string, rest: string): string {
  return `/dash/apps/${encodeURIComponent(appId)}/${rest}`;
}

function bodyOf({ schema }: SchemaPush): object {
  return { schema, check_types: true, supports_background_updates: true };
}

function isOverwriting(push: SchemaPush): boolean {
  if (!push.overwrite && 'renames' in push)
    throw new TriceError({
      code: 'rename-malformed',
      message: '`renames` go with `overwrite: true`: else nothing is renamed or deleted.',
    });
  return push.overwrite ?? false;
}
