import type { DiskChange } from '../client/disk.ts';
import type { Answer } from '../store/answer.ts';
import type { Triple } from '../store/bag.ts';
import type { Group, Head } from './answers.ts';
import { sealed, sealOf, sumOf } from './seal.ts';

/** Code units of a piece: small enough for every store of texts. */
const PIECE_LENGTH = 64 * 1024;

const PLACE_DIGITS = 6;

/** An answer as rows: its pieces, and its head. */
export interface Written {
  readonly head: Head;
  readonly pieces: readonly DiskChange[];
}

/** Writes an answer out, as it is now; null while it has no version. */
export function written(answer: Answer, now: number): Written | null {
  if (answer.version === undefined || answer.tx === null) return null;
  const texts: string[] = [];
  let count = 0;
  let groups: Group[] = [];
  let length = 0;
  for (const group of grouped(answer.bag.triples())) {
    const text = JSON.stringify(group);
    count += (group.length - 1) / 3;
    if (length > 0 && length + text.length > PIECE_LENGTH) {
      texts.push(sealed(groups));
      [groups, length] = [[], 0];
    }
    groups.push(group);
    length += text.length;
  }
  if (groups.length > 0) texts.push(sealed(groups));
  const { hash, queryId, version, tx, data } = answer;
  const bytes = texts.reduce((sum, text) => sum + text.length, 0);
  const head = {
    ...{ queryId, version, tx, data, count, bytes },
    pieces: texts.length,
    sum: sumOf(texts.map(sealOf).join()),
    entities: answer.bag.records.size,
    usedAt: now,
  };
  const keys = texts.map((_, place) => `${hash}\n${String(place).padStart(PLACE_DIGITS, '0')}`);
  const pieces = texts.map(
    (value, place) => ({ table: 'rows', key: keys[place]!, value }) as const,
  );
  return { head, pieces };
}

function* grouped(triples: Iterable<Triple>): Iterable<Group> {
  let group: Group | null = null;
  for (const [entity, attr, value, time] of triples) {
    if (group?.[0] !== entity) {
      if (group) yield group;
      group = [entity];
    }
    group.push(attr, value, time);
  }
  if (group) yield group;
}
