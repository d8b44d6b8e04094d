/** What the panel takes of a browser: the package is compiled without the types of the DOM. */

export interface PageNode {
  textContent: string | null;
  remove(): void;
}

export interface PageElement extends PageNode {
  className: string;
  hidden: boolean;
  tabIndex: number;
  /** Of fields. */
  value: string;
  /** Of `details`. */
  open: boolean;
  readonly isConnected: boolean;
  readonly children: ArrayLike<PageElement>;
  append(...nodes: (PageNode | string)[]): void;
  insertBefore(node: PageNode, before: PageNode | null): unknown;
  replaceChildren(...nodes: (PageNode | string)[]): void;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  addEventListener(type: string, listener: (event: PageEvent) => void): void;
  attachShadow(init: { mode: 'open' }): ShadowRoot;
  focus(options?: { preventScroll?: boolean }): void;
  scrollIntoView(options: { block: 'nearest'; inline: 'nearest' }): void;
}

export interface PageEvent {
  readonly key?: string;
  preventDefault(): void;
  stopPropagation(): void;
}

interface ShadowRoot {
  adoptedStyleSheets?: unknown;
  append(...nodes: (PageNode | string)[]): void;
}

/** The globals that the panel uses. */
export interface PageGlobals {
  readonly document: {
    readonly body: { append(node: object): void };
    readonly activeElement: unknown;
    createElement(name: string): PageElement;
  };
  readonly CSSStyleSheet: new () => { replaceSync(text: string): void };
  requestAnimationFrame(then: () => void): unknown;
}

type Attributes = Readonly<Record<string, string | undefined>>;

/** Makes an element with attributes and content. */
export type Make = (
  name: string,
  attributes?: Attributes,
  ...content: (PageNode | string)[]
) => PageElement;

export function makerOf({ document }: PageGlobals): Make {
  return (name, attributes = {}, ...content) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes))
      if (value !== undefined) element.setAttribute(key, value);
    element.append(...content);
    return element;
  };
}

/** Writes a text where it differs: what is selected stays so. */
export function write(node: PageNode, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
