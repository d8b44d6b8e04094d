import type { AttrId, WireAttr } from '../schema/attr.ts';

/** An entity in a step: its id, or the attr and value of a lookup. */
export type Subject = string | readonly [attr: AttrId, value: unknown];

export type StepOptions = { readonly mode: 'create' | 'update' };

/** Ops that write a value of one attr; to increment is trice's own (spec/transact.md T115). */
export type WriteOp = 'add-triple' | 'deep-merge-triple' | 'increment-triple';

/** One step of a transaction as it travels (instant-realtime §6.2). */
export type Step =
  | readonly ['add-attr', WireAttr]
  | readonly [WriteOp, Subject, AttrId, unknown, StepOptions?]
  | readonly ['retract-triple', Subject, AttrId, unknown]
  | readonly ['delete-entity', Subject, string]
  | readonly ['rule-params', Subject, string, Readonly<Record<string, unknown>>];
