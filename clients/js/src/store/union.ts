import type { AttrId } from '../schema/attr.ts';
import type { Answer } from './answer.ts';
import type { EntityRecord, View } from './view.ts';

/**
 * All answers together: of each entity the record of the answer that knows the newest. Nothing is
 * kept: each call looks at the answers there are.
 */
export class Union implements View {
  readonly #answers: () => Iterable<Answer>;
  readonly #isWhole: boolean;

  /** isWhole  only entities of which an answer has all fields are taken */
  constructor(answers: () => Iterable<Answer>, isWhole = false) {
    this.#answers = answers;
    this.#isWhole = isWhole;
  }

  *ids(etype: string): Iterable<string> {
    const seen = new Set<string>();
    for (const { bag } of this.#of(etype)) {
      for (const id of bag.ids(etype)) {
        if (!seen.has(id)) yield id;
        seen.add(id);
      }
    }
  }

  record(etype: string, id: string): EntityRecord | undefined {
    let newest: EntityRecord | undefined;
    let newestTx = -1;
    for (const { bag, tx } of this.#of(etype)) {
      const record = (tx ?? 0) > newestTx ? bag.record(etype, id) : undefined;
      if (record === undefined) continue;
      newest = record;
      newestTx = tx ?? 0;
    }
    return newest;
  }

  targets(attr: AttrId, source: string): readonly string[] {
    return this.#ends((bag) => bag.targets(attr, source));
  }

  sources(attr: AttrId, target: string): readonly string[] {
    return this.#ends((bag) => bag.sources(attr, target));
  }

  *#of(etype: string): Iterable<Answer> {
    for (const answer of this.#answers())
      if (!this.#isWhole || answer.whole.has(etype)) yield answer;
  }

  #ends(of: (view: View) => readonly string[]): readonly string[] {
    const ends = new Set<string>();
    for (const { bag } of this.#answers()) for (const id of of(bag)) ends.add(id);
    return [...ends];
  }
}
