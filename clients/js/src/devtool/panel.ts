import {
  type Make,
  makerOf,
  type PageElement,
  type PageEvent,
  type PageGlobals,
  write,
} from './page.ts';
import { RowList } from './row-list.ts';
import { ROWS_MAX, type Sheet } from './sheet.ts';
import { STYLE } from './style.ts';

/** What the panel shows, and is told of what people do. */
export interface PanelSource {
  readonly tabs: readonly string[];
  /** The view of a tab, with the text of its filter. */
  sheet(tab: string, filter: string): Sheet;
  /** Writes that the app has to decide about. */
  refused(): number;
  clear(): void;
  /** The panel was opened, or something was chosen: it is to be drawn. */
  changed(): void;
}

/**
 * The panel on the page: a button, and what it opens, in a shadow root. It draws when it is told
 * to, and holds at most 200 rows.
 */
export class Panel {
  readonly host: PageElement;
  isOpen = false;
  /** What is shown stays as it is. */
  isPaused = false;
  readonly #make: Make;
  readonly #source: PanelSource;
  readonly #toggle: PageElement;
  readonly #badge: PageElement;
  readonly #section: PageElement;
  readonly #tabs: readonly PageElement[];
  readonly #filter: PageElement;
  readonly #pause: PageElement;
  readonly #view: PageElement;
  readonly #note: PageElement;
  readonly #list: RowList;
  readonly #status: PageElement;
  readonly #filters = new Map<string, string>();
  #tab: string;

  constructor(globals: PageGlobals, source: PanelSource) {
    const make = makerOf(globals);
    this.#make = make;
    this.#source = source;
    this.#tab = source.tabs[0]!;
    this.#badge = make('span', { class: 'badge' });
    const attributes = { class: 'toggle', type: 'button', 'aria-controls': 'panel' };
    this.#toggle = make('button', attributes, 'trice', this.#badge);
    this.#tabs = source.tabs.map((tab) => this.#tabOf(tab));
    this.#filter = make('input', { type: 'search', placeholder: 'Filter', 'aria-label': 'Filter' });
    this.#pause = make('button', { type: 'button', 'aria-pressed': 'false' }, 'Pause');
    this.#note = make('p', { class: 'note' });
    const { document } = globals;
    this.#list = new RowList(make, () => document.activeElement === document.body);
    this.#view = make(
      'div',
      { role: 'tabpanel', id: 'view', tabindex: '0', class: 'view' },
      this.#note,
      this.#list.element,
    );
    this.#section = make(
      'section',
      { id: 'panel', 'aria-label': 'trice devtool', class: 'panel' },
      this.#header(),
      this.#view,
    );
    this.#status = make('p', { role: 'status', class: 'status' });
    this.host = make('div', { 'data-trice-devtool': '' });
    const root = this.host.attachShadow({ mode: 'open' });
    const style = new globals.CSSStyleSheet();
    style.replaceSync(STYLE);
    root.adoptedStyleSheets = [style];
    root.append(this.#section, this.#toggle, this.#status);
    this.#listen();
    this.#setOpen(false);
    this.#choose(this.#tab);
  }

  /** Opens or closes it. */
  setOpen(isOpen: boolean): void {
    this.#setOpen(isOpen);
    this.#source.changed();
  }

  /** Shows what is so now. */
  draw(): void {
    const refused = this.#source.refused();
    write(this.#badge, refused === 0 ? '' : String(refused));
    this.#badge.hidden = refused === 0;
    const told = refused === 1 ? '1 write was refused' : `${refused} writes were refused`;
    write(this.#status, refused === 0 ? '' : told);
    if (!this.isOpen || this.isPaused) return;
    const sheet = this.#source.sheet(this.#tab, this.#filters.get(this.#tab) ?? '');
    write(this.#note, sheet.note);
    this.#list.show(sheet.rows.slice(0, ROWS_MAX));
  }

  // --- parts ------------------------------------------------------------------------------------

  #header(): PageElement {
    const make = this.#make;
    const clear = make('button', { type: 'button' }, 'Clear');
    clear.addEventListener('click', () => {
      this.#source.clear();
      this.#setPaused(false);
    });
    const close = make('button', { type: 'button', 'aria-label': 'Close', class: 'close' }, '×');
    close.addEventListener('click', () => this.#close());
    return make(
      'header',
      {},
      make('div', { role: 'tablist', 'aria-label': 'Views' }, ...this.#tabs),
      make('div', { class: 'tools' }, this.#filter, this.#pause, clear),
      close,
    );
  }

  #tabOf(name: string): PageElement {
    const tab = this.#make(
      'button',
      { type: 'button', role: 'tab', id: `tab-${name}`, 'aria-controls': 'view' },
      name,
    );
    tab.addEventListener('click', () => this.#choose(name));
    tab.addEventListener('keydown', (event) => this.#moved(event));
    return tab;
  }

  #listen(): void {
    this.#toggle.addEventListener('click', () => {
      this.setOpen(true);
      this.#tabs[this.#source.tabs.indexOf(this.#tab)]!.focus();
    });
    this.#pause.addEventListener('click', () => this.#setPaused(!this.isPaused));
    this.#filter.addEventListener('input', () => {
      this.#filters.set(this.#tab, this.#filter.value);
      this.#setPaused(false);
    });
    this.#section.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      this.#close();
    });
  }

  // --- what people do ---------------------------------------------------------------------------

  /** Arrows, Home and End go from tab to tab, as in every list of tabs. */
  #moved(event: PageEvent): void {
    const { tabs } = this.#source;
    const here = tabs.indexOf(this.#tab);
    const to = {
      ArrowRight: (here + 1) % tabs.length,
      ArrowLeft: (here + tabs.length - 1) % tabs.length,
      Home: 0,
      End: tabs.length - 1,
    }[event.key ?? ''];
    if (to === undefined) return;
    event.preventDefault();
    this.#choose(tabs[to]!);
    this.#tabs[to]!.focus();
  }

  #choose(name: string): void {
    this.#tab = name;
    this.#source.tabs.forEach((one, place) => {
      const tab = this.#tabs[place]!;
      tab.setAttribute('aria-selected', String(one === name));
      tab.tabIndex = one === name ? 0 : -1;
      if (one === name) tab.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    });
    this.#view.setAttribute('aria-labelledby', `tab-${name}`);
    this.#filter.value = this.#filters.get(name) ?? '';
    this.#setPaused(false);
  }

  #close(): void {
    this.setOpen(false);
    this.#toggle.focus();
  }

  #setOpen(isOpen: boolean): void {
    this.isOpen = isOpen;
    this.#section.hidden = !isOpen;
    this.#toggle.setAttribute('aria-expanded', String(isOpen));
    this.#toggle.hidden = isOpen;
  }

  #setPaused(isPaused: boolean): void {
    this.isPaused = isPaused;
    this.#pause.setAttribute('aria-pressed', String(isPaused));
    this.#source.changed();
  }
}
