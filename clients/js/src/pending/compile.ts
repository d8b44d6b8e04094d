import type { WireAttr } from '../schema/attr.ts';
import type { Catalog, Named } from '../schema/catalog.ts';
import { isLookup, type Operation, parseLookup } from './builder.ts';
import type { Step, StepOptions, Subject } from './steps.ts';

/**
 * What a client has to know to invent an attr that is not in the catalog (instant-realtime §6.4).
 */
export interface Inventor {
  /** An attr for a field; `isLookup`: it is looked up by, so it must be unique. */
  field(etype: string, label: string, isLookup: boolean): WireAttr;
  /** An attr for a link, by the name it has at one of its ends. */
  link(etype: string, label: string): WireAttr;
}

/** Steps of a transaction, and the catalog with the attrs they invent. */
export interface Compiled {
  readonly steps: readonly Step[];
  readonly catalog: Catalog;
  readonly invented: readonly WireAttr[];
}

/**
 * Turns operations by name into steps, by the newest catalog (instant-realtime §6.3).
 *
 * invented  attrs that an earlier compilation of the same operations invented: their ids are kept
 *           where the catalog still lacks the name
 */
export function compile(
  operations: readonly Operation[],
  catalog: Catalog,
  inventor: Inventor,
  invented: readonly WireAttr[],
): Compiled {
  const names = new Names(catalog, inventor, invented);
  for (const operation of operations) names.inventLookups(operation);
  const steps = operations.flatMap((operation) => stepsOf(operation, names));
  const added = names.added.map((attr): Step => ['add-attr', attr]);
  return { steps: [...added, ...steps], catalog: names.catalog, invented: names.added };
}

function stepsOf([action, etype, entity, args, opts]: Operation, names: Names): Step[] {
  const subject = names.subject(etype, entity);
  switch (action) {
    case 'delete':
      return [['delete-entity', subject, etype]];
    case 'ruleParams':
      return [['rule-params', subject, etype, args]];
    case 'link':
    case 'unlink':
      return [
        ...(typeof subject === 'string' ? [] : [idStep(etype, subject, names, undefined)]),
        ...pairSteps(action, etype, subject, args, names),
      ];
    case 'create':
    case 'update':
    case 'merge':
    case 'increment': {
      const options = optionsOf(action, opts);
      const op = VALUE_OPS[action];
      const id = idStep(etype, subject, names, options);
      const fields = Object.entries(args).filter(([label]) => label !== 'id');
      return [
        id,
        ...fields.map(([label, value]): Step => {
          const { attr } = names.field(etype, label);
          return options ? [op, subject, attr.id, value, options] : [op, subject, attr.id, value];
        }),
      ];
    }
  }
}

const VALUE_OPS = {
  create: 'add-triple',
  update: 'add-triple',
  merge: 'deep-merge-triple',
  increment: 'increment-triple',
} as const;

function optionsOf(
  action: keyof typeof VALUE_OPS,
  opts: { readonly upsert?: boolean } | undefined,
): StepOptions | undefined {
  if (action === 'create') return { mode: 'create' };
  return opts?.upsert === false ? { mode: 'update' } : undefined;
}

/** The id comes first, so that an update may change the field it is looked up by. */
function idStep(
  etype: string,
  subject: Subject,
  names: Names,
  options: StepOptions | undefined,
): Step {
  const { attr } = names.field(etype, 'id');
  return options
    ? ['add-triple', subject, attr.id, subject, options]
    : ['add-triple', subject, attr.id, subject];
}

function pairSteps(
  action: 'link' | 'unlink',
  etype: string,
  subject: Subject,
  args: Readonly<Record<string, unknown>>,
  names: Names,
): Step[] {
  const op = action === 'link' ? 'add-triple' : 'retract-triple';
  return Object.entries(args).flatMap(([label, ends]) => {
    const named = names.link(etype, label);
    const { attr, isForward } = named;
    return [ends].flat().map((end): Step => {
      const other = typeof end === 'string' ? names.end(named, end) : (end as Subject);
      return isForward ? [op, subject, attr.id, other] : [op, other, attr.id, subject];
    });
  });
}

/** Finds names in a catalog, and invents those that are missing. */
class Names {
  catalog: Catalog;
  readonly added: WireAttr[] = [];
  readonly #inventor: Inventor;
  readonly #before: readonly WireAttr[];

  constructor(catalog: Catalog, inventor: Inventor, before: readonly WireAttr[]) {
    this.catalog = catalog;
    this.#inventor = inventor;
    this.#before = before;
  }

  /** Attrs of lookups come before all others, as from official clients. */
  inventLookups([action, etype, entity, args]: Operation): void {
    if (isLookup(entity)) this.subject(etype, entity);
    if (action !== 'link' && action !== 'unlink') return;
    for (const [label, ends] of Object.entries(args)) {
      for (const end of [ends].flat())
        if (typeof end === 'string' && isLookup(end)) this.end(this.link(etype, label), end);
    }
  }

  subject(etype: string, entity: string): Subject {
    if (!isLookup(entity)) return entity;
    const [label, value] = parseLookup(entity);
    // `lookup('owner.id', …)` looks up through a unique link.
    const [first, rest] = label.split('.');
    if (rest === 'id') return [this.link(etype, first!).attr.id, value];
    return [this.field(etype, label, true).attr.id, value];
  }

  /** The other end of a link: an id, or a lookup in the namespace it leads to. */
  end({ attr, isForward }: Named, entity: string): Subject {
    return this.subject(isForward ? attr.reverse!.etype : attr.etype, entity);
  }

  field(etype: string, label: string, isLookedUp = false): Named {
    const known = this.catalog.find(etype, label);
    if (known) return known;
    return this.#add(etype, label, () =>
      this.#inventor.field(etype, label, isLookedUp || label === 'id'),
    );
  }

  link(etype: string, label: string): Named {
    return (
      this.catalog.find(etype, label) ??
      this.#add(etype, label, () => this.#inventor.link(etype, label))
    );
  }

  #add(etype: string, label: string, invent: () => WireAttr): Named {
    const attr = this.#before.find((one) => isNamed(one, etype, label)) ?? invent();
    this.added.push(attr);
    this.catalog = this.catalog.with([attr]);
    return this.catalog.find(etype, label)!;
  }
}

function isNamed(attr: WireAttr, etype: string, label: string): boolean {
  return [attr['forward-identity'], attr['reverse-identity']].some(
    (identity) => identity?.[1] === etype && identity[2] === label,
  );
}
