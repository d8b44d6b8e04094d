/** The pages of a list that is watched, as the server tells them. */
import { TriceError } from '../errors.ts';
import type { Message } from '../session/part.ts';
import { isObject } from '../values/json.ts';

/** One page: a stretch of the list between two places that stay where they are. */
export interface CallPage {
  /** Names its end, to load it again; '' is the end of the list, null is not known. */
  readonly until: string | null;
  readonly items: readonly unknown[];
  readonly error: TriceError | undefined;
}

/** The pages after what a message says of them: of those that changed, or of all. */
export function pagesAfter(before: readonly CallPage[], said: Message): readonly CallPage[] {
  const pages = said.whole || said.op ? [] : [...before];
  const told = said.pages as readonly Message[];
  for (const page of told) {
    const at = page.at as number;
    const value = isObject(page.value) ? page.value.items : undefined;
    const old = page.new ? undefined : pages[at];
    pages.splice(at, old ? 1 : 0, {
      until: page.until as string | null,
      items: page.error ? (old?.items ?? []) : Array.isArray(value) ? value : [],
      error: isObject(page.error) ? TriceError.of(page.error) : undefined,
    });
  }
  return pages.slice(0, (said.count as number | undefined) ?? pages.length);
}

/** The items of all pages. A row that moves may be in two for a moment: it is shown once. */
export function itemsOf(pages: readonly CallPage[]): readonly unknown[] {
  const seen = new Set<unknown>();
  return pages.flatMap(({ items }) =>
    items.filter((item) => {
      const id = isObject(item) ? item.id : undefined;
      return id === undefined || (!seen.has(id) && seen.add(id));
    }),
  );
}
