/** Steps of transactions applied to triples by brute force, apart from the client's own code. */
import type { WireAttr } from '../../src/schema/attr.ts';
import type { Triple } from '../../src/store/bag.ts';

export interface Data {
  readonly attrs: readonly WireAttr[];
  readonly triples: readonly Triple[];
}

/** The transaction is refused. */
export class Refused extends Error {
  readonly code: string;
  readonly hint: object;

  constructor(message: string, code = 'validation-failed', hint = {}) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

/** A title that no rule of the simulation lets in. */
export const FORBIDDEN = 'forbidden';

/** The data after a transaction, or Refused. */
export function applySteps(data: Data, steps: readonly unknown[][], now: number): Data {
  const run = new Run(data, now);
  for (const step of steps) if (step[0] === 'add-attr') run.addAttr(step[1] as WireAttr);
  for (const step of steps) run.checkMode(step);
  for (const op of new Set(steps.map(([name]) => name)))
    for (const step of steps) if (step[0] === op) run.apply(step);
  return { attrs: run.attrs, triples: run.triples };
}

class Run {
  attrs: WireAttr[];
  triples: Triple[];
  readonly #before: readonly Triple[];
  readonly #now: number;

  constructor(data: Data, now: number) {
    this.attrs = [...data.attrs];
    this.triples = [...data.triples];
    this.#before = data.triples;
    this.#now = now;
  }

  addAttr(attr: WireAttr): void {
    if (this.attrs.some(({ id }) => id === attr.id)) return;
    const [, etype, label] = attr['forward-identity'];
    const isTaken = this.attrs.some(
      ({ 'forward-identity': [, on, name] }) => on === etype && name === label,
    );
    if (isTaken) {
      const hint = { 'record-type': 'ident', etype, label };
      throw new Refused(`\`${label}\` already exists on \`${etype}\``, 'record-not-unique', hint);
    }
    this.attrs.push(attr);
  }

  checkMode([op, entity, attrId, , options]: unknown[]): void {
    const mode = (options as { mode?: string } | undefined)?.mode;
    if (op === 'add-attr' || mode === undefined) return;
    const idAttr = this.#idAttr(this.#attr(attrId)['forward-identity'][1]);
    const isThere = this.#before.some(([e, a]) => e === entity && a === idAttr.id);
    if (isThere !== (mode === 'update')) throw new Refused(`${mode} of ${String(entity)}`);
  }

  apply([op, entity, attrOrEtype, value]: unknown[]): void {
    if (op === 'add-triple') this.#add(entity as string, this.#attr(attrOrEtype), value);
    else if (op === 'increment-triple')
      this.#increment(entity as string, this.#attr(attrOrEtype), value as number);
    else if (op === 'retract-triple')
      this.#remove(([e, a, v]) => e === entity && a === attrOrEtype && v === value);
    else if (op === 'delete-entity') this.#delete(entity as string, attrOrEtype as string);
    else if (op !== 'add-attr') throw new Error(`no such step: ${String(op)}`);
  }

  #add(entity: string, attr: WireAttr, value: unknown): void {
    if (value === FORBIDDEN) throw new Refused('the title is forbidden');
    const [, etype, label] = attr['forward-identity'];
    const created =
      this.triples.find(([e, a]) => e === entity && a === this.#idAttr(etype).id)?.[3] ?? this.#now;
    if (attr.cardinality === 'many') {
      if (!this.triples.some(([e, a, v]) => e === entity && a === attr.id && v === value))
        this.triples.push([entity, attr.id, value, this.#now]);
      return;
    }
    this.#remove(([e, a]) => e === entity && a === attr.id);
    this.triples.push([entity, attr.id, value, created]);
    if (label !== 'id') return;
    for (const one of this.attrs) {
      const isEmpty = !this.triples.some(([e, a]) => e === entity && a === one.id);
      if (
        one['index?'] &&
        one['value-type'] === 'blob' &&
        one['forward-identity'][1] === etype &&
        isEmpty
      )
        this.triples.push([entity, one.id, null, created]);
    }
  }

  #increment(entity: string, attr: WireAttr, amount: number): void {
    const stored = this.triples.find(([e, a]) => e === entity && a === attr.id)?.[2] ?? 0;
    if (typeof stored !== 'number' || (attr['checked-data-type'] ?? 'number') !== 'number')
      throw new Refused('what is stored there is no number');
    this.#add(entity, attr, stored + amount);
  }

  #delete(entity: string, etype: string): void {
    this.#remove(([e, a, v]) => {
      const attr = this.#attr(a);
      const isOwn = e === entity && attr['forward-identity'][1] === etype;
      return isOwn || (v === entity && attr['reverse-identity']?.[1] === etype);
    });
  }

  #remove(isGone: (triple: Triple) => boolean): void {
    this.triples = this.triples.filter((triple) => !isGone(triple));
  }

  #attr(id: unknown): WireAttr {
    const attr = this.attrs.find((one) => one.id === id);
    if (attr === undefined) throw new Refused(`no attr ${String(id)}`);
    return attr;
  }

  #idAttr(etype: string): WireAttr {
    return this.attrs.find(
      ({ 'forward-identity': [, on, label] }) => on === etype && label === 'id',
    )!;
  }
}
