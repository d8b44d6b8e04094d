import type { Row, Rows } from '../../src/query/evaluate.ts';
import { withAliases } from './case-files.ts';

type QueryForm = Record<string, never>;

/** Rows as the case files write them. */
export function render(rows: Rows, query: Record<string, unknown>, isFull: boolean): string {
  const lines: string[] = [];
  for (const label of Object.keys(query)) {
    if (label !== '$$ruleParams' && label in rows)
      renderForm(label, rows[label], query[label] as QueryForm, '', isFull, lines);
  }
  return withAliases(lines.join('\n'));
}

function renderForm(
  label: string,
  found: unknown,
  form: QueryForm,
  indent: string,
  isFull: boolean,
  lines: string[],
): void {
  const rows = (found === undefined ? [] : [found].flat()) as Row[];
  const links = Object.keys(form).filter((name) => name !== '$');
  if (rows.length === 0) lines.push(`${indent}${label}: []`);
  else if (links.length === 0 && !isFull)
    lines.push(`${indent}${label}: [${rows.map(({ id }) => id).join(' ')}]`);
  else {
    lines.push(`${indent}${label}:`);
    for (const row of rows) {
      const isField = ([name]: [string, unknown]) => name !== 'id' && !links.includes(name);
      const fields = Object.fromEntries(Object.entries(row).filter(isField));
      lines.push(`${indent}  ${row.id}${isFull ? ` ${pythonJson(fields)}` : ''}`);
      for (const link of links)
        renderForm(link, row[link], form[link]!, `${indent}    `, isFull, lines);
    }
  }
}

/** Values as Python's json.dumps writes them. */
function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`;
  if (value && typeof value === 'object') {
    const pairs = Object.entries(value).sort();
    const texts = pairs.map(([key, one]) => `${JSON.stringify(key)}: ${pythonJson(one)}`);
    return `{${texts.join(', ')}}`;
  }
  return JSON.stringify(value);
}
