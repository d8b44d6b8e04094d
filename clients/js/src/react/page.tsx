'use client';

import { createContext, createElement, type ReactNode } from 'react';
import type { AuthState } from '../client/user.ts';

/** Where hooks look while a page is made on a server: what `createServerDb` makes. */
export interface PageData {
  readonly authState: AuthState;
  /** A query of the page. */
  observe(query: any, opts?: { ruleParams?: object }): PageObserver;
}

/** A query of the page. With types of a schema or without: states are what hooks give. */
export interface PageObserver {
  get(): any;
  getServer(): any;
  subscribe(tell: () => void): () => void;
  promise(): Promise<any>;
}

/** Null in browsers. */
export const PageContext = createContext<PageData | null>(null);

/**
 * Gives the hooks below it what `server` finds for the page that is being made. In browsers, with
 * null, it only shows its children.
 */
export function PageProvider(props: {
  readonly server: PageData | null;
  readonly children?: ReactNode;
}): ReactNode {
  return createElement(PageContext.Provider, { value: props.server }, props.children);
}
