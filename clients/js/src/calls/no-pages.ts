import type { PagedState } from './refs.ts';

/** The state of a list of which nothing is known. */
export const NO_PAGES: PagedState<any> = Object.freeze({
  data: undefined,
  error: undefined,
  isLoading: true,
  canLoadNextPage: false,
  loadNextPage: () => {},
});
