import type { Intern, InternedRecord } from './intern.ts';

/**
 * The records of a bag, by namespace and id.
 *
 * An open-addressed table of nothing but the records, placed by the numbers that the intern gave
 * their entities: 10 to 12 bytes an entity as it grows, where a map takes 46. Many bags hold the
 * same entities, so what leads from an id to its number is kept once, in the intern.
 */
export class Records {
  size = 0;
  readonly #intern: Intern;
  /** At least a fifth is free, so each search ends. */
  #table: (InternedRecord | undefined)[] = [];

  constructor(intern: Intern) {
    this.#intern = intern;
  }

  /** In no order. */
  all(): InternedRecord[] {
    return this.#table.filter((record) => record !== undefined);
  }

  get(etype: string, id: string): InternedRecord | undefined {
    const known = this.#intern.find(etype, id);
    return known && this.#table[this.#placeOf(known)];
  }

  set(record: InternedRecord): void {
    this.#fit(this.size + 1);
    const place = this.#placeOf(record);
    if (!this.#table[place]) this.size++;
    this.#table[place] = record;
  }

  delete(etype: string, id: string): void {
    const table = this.#table;
    const record = this.get(etype, id);
    if (!record) return;
    let place = this.#placeOf(record);
    // Those that follow without a gap may belong in an earlier place.
    for (let moved: InternedRecord | undefined = record; moved; moved = table[place]) {
      table[place] = undefined;
      if (moved !== record) table[this.#placeOf(moved)] = moved;
      place = (place + 1) % table.length;
    }
    this.#fit(--this.size);
  }

  /** Makes the table one for `size` entities, if it is too small or much too large. */
  #fit(size: number): void {
    const table = this.#table;
    if (size * 5 <= table.length * 4 && size * 4 >= table.length) return;
    const records = this.all();
    this.#table = Array<undefined>(Math.ceil(size * 1.5)).fill(undefined);
    for (const record of records) this.#table[this.#placeOf(record)] = record;
  }

  /** Where the record of an entity is, or belongs. */
  #placeOf({ number }: InternedRecord): number {
    const table = this.#table;
    // Spread, so that numbers in a row do not pile up with others in a row.
    let place = (Math.imul(number, 0x9e3779b1) >>> 0) % table.length;
    while (table[place] && table[place]!.number !== number) place = (place + 1) % table.length;
    return place;
  }
}
