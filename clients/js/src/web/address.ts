import type { PageAddress } from '../client/environment.ts';

/** What this file takes of a browser. */
export interface AddressGlobals {
  readonly location?: { readonly href: string };
  readonly history?: {
    readonly state: unknown;
    replaceState(state: unknown, title: string, url: string): void;
  };
  readonly URL?: UrlMaker;
}

export interface UrlMaker {
  new (url: string): UrlLike;
}

interface UrlLike {
  readonly href: string;
  readonly searchParams: { get(name: string): string | null; delete(name: string): void };
}

/** The address of a page; undefined where there is none, as in Node and in workers. */
export function pageAddress(globals: AddressGlobals): PageAddress | undefined {
  const { history } = globals;
  // Who has a history has the others too.
  const address = () => new globals.URL!(globals.location!.href);
  return (
    history && {
      get: (name) => address().searchParams.get(name),
      remove(names) {
        const url = address();
        for (const name of names) url.searchParams.delete(name);
        history.replaceState(history.state, '', url.href);
      },
    }
  );
}
