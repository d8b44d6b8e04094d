import type { View } from '../store/view.ts';
import type { Alternative, Condition, Group, Place, Step } from './form.ts';
import { linkedIds } from './match.ts';

/** Whether an entity that exists satisfies a condition. No I/O. */
export function holds(group: Group, view: View, etype: string, id: string): boolean {
  const at = placeOf(view, etype, id);
  return (
    group.own.every((test) => test(at)) &&
    group.all.every((element) => holds(element, view, etype, id)) &&
    group.some.every((list) => list.some((element) => holds(element, view, etype, id))) &&
    group.linked.every((part) => solve(part, 0, view, at, new Map()))
  );
}

function placeOf(view: View, etype: string, id: string): Place {
  return {
    id,
    values(named) {
      if (named.attr.isLink) return linkedIds(view, named, id);
      const value = view.record(etype, id)?.cells[named.attr.id];
      return value === undefined ? [] : [value];
    },
  };
}

/** Linked entities taken so far, by slot. */
type Taken = Map<string, string>;

/** Whether some choice of linked entities satisfies the conditions from `index` on. */
function solve(
  part: readonly Condition[],
  index: number,
  view: View,
  root: Place,
  taken: Taken,
): boolean {
  const condition = part[index];
  if (condition === undefined) return true;
  const goOn = () => solve(part, index + 1, view, root, taken);
  return condition.alternatives.some((one) => walk(one, 0, view, root, taken, goOn));
}

/** Walks the links of an alternative from `here`, and goes on with each end that passes. */
function walk(
  { steps, test }: Alternative,
  depth: number,
  view: View,
  here: Place,
  taken: Taken,
  goOn: () => boolean,
): boolean {
  const step = steps[depth];
  if (step === undefined) return test(here) && goOn();
  return linkedIds(view, step.link, here.id).some((id) => {
    if (view.record(step.etype, id) === undefined) return false;
    return take(step, id, taken, () =>
      walk({ steps, test }, depth + 1, view, placeOf(view, step.etype, id), taken, goOn),
    );
  });
}

/** Takes `id` for a slot while `then` runs; false if another entity is taken for it. */
function take({ slot }: Step, id: string, taken: Taken, then: () => boolean): boolean {
  const before = taken.get(slot);
  if (before !== undefined) return before === id && then();
  taken.set(slot, id);
  const outcome = then();
  taken.delete(slot);
  return outcome;
}
