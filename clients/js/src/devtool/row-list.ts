import { type Make, type PageElement, write } from './page.ts';
import type { Row } from './sheet.ts';

/** The elements of one row. */
interface Item {
  readonly element: PageElement;
  /** What opens, if the row does. */
  readonly details: PageElement;
  readonly line: PageElement;
  readonly kind: PageElement;
  readonly title: PageElement;
  readonly facts: PageElement;
  readonly reason: PageElement;
  readonly body: PageElement;
  readonly actions: PageElement;
  row: Row;
}

/**
 * A list of rows on the page. A row keeps its elements while its key is there, so that what is
 * open, selected and focused in it stays.
 */
export class RowList {
  readonly element: PageElement;
  readonly #make: Make;
  readonly #isFocusLost: () => boolean;
  #items = new Map<string, Item>();
  /** The row whose button was pressed last, until it has other buttons or is gone. */
  #pressed: string | null = null;

  /** isFocusLost  whether what had the focus is gone from the page */
  constructor(make: Make, isFocusLost: () => boolean) {
    this.#make = make;
    this.#isFocusLost = isFocusLost;
    this.element = make('ul', { class: 'rows' });
  }

  show(rows: readonly Row[]): void {
    const before = this.#items;
    this.#items = new Map(rows.map((row) => [row.key, before.get(row.key) ?? this.#itemOf(row)]));
    for (const [key, { element }] of before) if (!this.#items.has(key)) element.remove();
    rows.forEach((row, place) => {
      const item = this.#items.get(row.key)!;
      const here = this.element.children[place] ?? null;
      if (here !== item.element) this.element.insertBefore(item.element, here);
      this.#update(item, row);
    });
    if (this.#pressed !== null && !this.#items.has(this.#pressed)) {
      const [next] = this.#items.values();
      this.#refocus(next?.line);
    }
  }

  #itemOf(row: Row): Item {
    const make = this.#make;
    const kind = make('span', { class: 'kind' });
    const title = make('code', { class: 'title' });
    const facts = make('span', { class: 'facts' });
    const reason = make('p', { class: 'reason' });
    const body = make('pre', { class: 'body', tabindex: '0' });
    const actions = make('div', { class: 'actions' });
    const line = make(row.body ? 'summary' : 'div', { class: 'line' }, kind, title, facts);
    const details = row.body ? make('details', {}, line, body) : make('div', {}, line);
    const element = make('li', {}, details, reason, actions);
    const item = { element, details, line, kind, title, facts, reason, body, actions, row };
    details.addEventListener('toggle', () => this.#updateBody(item));
    return item;
  }

  #update(item: Item, row: Row): void {
    const isFirst = item.title.textContent === '';
    const before = item.row;
    item.row = row;
    write(item.kind, row.kind ?? '');
    item.kind.hidden = row.kind === undefined;
    write(item.title, row.title);
    const facts = row.facts.join(' · ');
    if (item.facts.textContent !== facts) this.#fillFacts(item.facts, row.facts);
    write(item.reason, row.reason ?? '');
    item.reason.hidden = row.reason === undefined;
    if (isFirst || before.tone !== row.tone) item.element.className = row.tone ?? '';
    if (isFirst || labelsOf(before) !== labelsOf(row)) this.#fillActions(item);
    this.#updateBody(item);
  }

  #updateBody({ details, body, row }: Item): void {
    if (details.open) write(body, row.body?.() ?? '');
  }

  /** The dots between are text, and not shown: each fact has a place of its own. */
  #fillFacts(element: PageElement, facts: readonly string[]): void {
    const parts = facts.flatMap((fact, place) => {
      const span = this.#make('span', {}, fact);
      return place === 0 ? [span] : [this.#make('i', {}, ' · '), span];
    });
    element.replaceChildren(...parts);
  }

  #fillActions(item: Item): void {
    const { actions = [] } = item.row;
    item.actions.hidden = actions.length === 0;
    item.actions.replaceChildren(
      ...actions.map(({ label }) => {
        const title = `${label}: ${item.row.title}`;
        const button = this.#make('button', { type: 'button', 'aria-label': title }, label);
        // The row may have changed since: what is done is what it offers now.
        button.addEventListener('click', () => {
          this.#pressed = item.row.key;
          item.row.actions?.find((action) => action.label === label)?.run();
        });
        return button;
      }),
    );
    if (this.#pressed === item.row.key) this.#refocus(item.line);
  }

  /** The button that was pressed is gone: whoever uses the keyboard goes on from the row. */
  #refocus(element: PageElement | undefined): void {
    this.#pressed = null;
    if (this.#isFocusLost()) element?.focus({ preventScroll: true });
  }
}

function labelsOf({ actions = [] }: Row): string {
  return actions.map(({ label }) => label).join();
}
