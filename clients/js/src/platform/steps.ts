import type { CheckedType } from '../schema/attr.ts';
import type { ApiAttr, Ident } from './api-schema.ts';

/** A change of one attr that the server makes behind the scenes. */
export type JobType =
  | 'index'
  | 'remove-index'
  | 'unique'
  | 'remove-unique'
  | 'required'
  | 'remove-required'
  | 'check-data-type'
  | 'remove-data-type';

/** What such a change names. */
export interface JobParams {
  readonly 'attr-id': string;
  readonly 'forward-identity': Ident;
  readonly 'checked-data-type'?: CheckedType;
  /** Once it was begun. */
  readonly 'job-id'?: string;
}

/** A step of a plan as it travels (instant-http §4.6). */
export type ApiStep =
  | readonly ['add-attr', ApiAttr]
  | readonly ['update-attr', Partial<ApiAttr> & { readonly id: string }]
  | readonly ['delete-attr', string]
  | readonly [JobType, JobParams];

/** A step of a plan. */
export type PlanStep =
  | { readonly type: 'add-attr'; readonly friendlyDescription: string; readonly attr: ApiAttr }
  | {
      readonly type: 'update-attr';
      readonly friendlyDescription: string;
      readonly attr: Partial<ApiAttr> & { readonly id: string };
    }
  | { readonly type: 'delete-attr'; readonly friendlyDescription: string; readonly attrId: string }
  | JobStep;

/** A step that the server does behind the scenes, row by row. */
export interface JobStep {
  readonly type: JobType;
  readonly friendlyDescription: string;
  readonly attrId: string;
  readonly forwardIdentity: Ident;
  /** Of `check-data-type`. */
  readonly checkedDataType?: CheckedType;
}

/** Steps in words. `current`: the attrs before them. */
export function planStepsOf(steps: readonly ApiStep[], current: readonly ApiAttr[]): PlanStep[] {
  return steps.map((step) => planStepOf(step, current));
}

export function planStepOf([type, params]: ApiStep, current: readonly ApiAttr[]): PlanStep {
  switch (type) {
    case 'add-attr':
      return { type, friendlyDescription: addition(params), attr: params };
    case 'update-attr': {
      // A change of cardinality or of cascades names no identity.
      const named = params['forward-identity']
        ? params
        : current.find(({ id }) => id === params.id);
      const name = nameOf(named?.['forward-identity']) ?? params.id;
      return { type, friendlyDescription: `Update attribute ${name}.`, attr: params };
    }
    case 'delete-attr': {
      const attr = current.find(({ id }) => id === params);
      const name = nameOf(attr?.['forward-identity']) ?? params;
      return { type, friendlyDescription: `Delete attribute ${name}.`, attrId: params };
    }
    default:
      return {
        type,
        friendlyDescription: change(type, params),
        attrId: params['attr-id'],
        forwardIdentity: params['forward-identity'],
        ...(params['checked-data-type'] ? { checkedDataType: params['checked-data-type'] } : {}),
      };
  }
}

function addition(attr: ApiAttr): string {
  const name = nameOf(attr['forward-identity']);
  if (attr['value-type'] === 'ref')
    return `Link ${name} to ${nameOf(attr['reverse-identity'] ?? undefined)}.`;
  if (attr['forward-identity'][2] === 'id') return `Create new entity ${name}.`;
  return `Add attribute ${name}.`;
}

function change(type: JobType, params: JobParams): string {
  const name = nameOf(params['forward-identity']);
  switch (type) {
    case 'index':
      return `Add index to ${name}.`;
    case 'remove-index':
      return `Remove index from ${name}.`;
    case 'unique':
      return `Ensure that ${name} is unique.`;
    case 'remove-unique':
      return `Remove uniqueness constraint from ${name}.`;
    case 'required':
      return `Make ${name} a required attribute.`;
    case 'remove-required':
      return `Allow ${name} to be missing or null.`;
    case 'check-data-type':
      return `Enforce data type of ${name} as type ${params['checked-data-type']}.`;
    case 'remove-data-type':
      return `Stop enforcing data type of ${name}.`;
  }
}

function nameOf(ident: Ident | undefined): string | undefined {
  return ident && `${ident[1]}.${ident[2]}`;
}
