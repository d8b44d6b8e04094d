import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PACKAGE } from './compiler.ts';
import { Editor } from './editor.ts';

let editor: Editor;

beforeEach(() => {
  editor = new Editor();
});

afterEach(() => editor.close());

test('[J69] editors show rows and not how they were found', async () => {
  const hovers = await editor.hovers(path.join(PACKAGE, 'tests/types/hovered.ts'));
  expect(hovers.join('\n\n')).toMatchSnapshot();
});

test('[J69] editors offer the names of the schema', async () => {
  const found = await editor.completions(path.join(PACKAGE, 'tests/types/completed.ts'));
  expect(found.map((names) => names.join(' '))).toMatchInlineSnapshot(`
    [
      "$users orders people",
      "$ buyer",
      "$entityIdStartsWith $user age and friendOf friends handle id name or orders",
      "open paid",
      "placedAt serverCreatedAt state",
      "address id isGift note paidAt placedAt state total",
      "$ $user friendOf friends orders",
      "age handle name",
      "$user friendOf friends orders",
    ]
  `);
});
