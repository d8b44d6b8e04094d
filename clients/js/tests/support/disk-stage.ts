import type { Config } from '../../src/client/config.ts';
import { Database } from '../../src/client/database.ts';
import type { Observer } from '../../src/client/queries.ts';
import type { QueryState } from '../../src/store/answer.ts';
import { type Faults, Page, Stored } from '../simulation/device.ts';
import { SHELF_SCHEMA } from './shelf.ts';
import { entity, Stage } from './stage.ts';

export const BOOKS = { books: { $: { where: { id: { $in: [entity(1), entity(2)] } } } } };
export const DAY_MS = 24 * 3_600_000;

/** A stage whose devices have a disk, and pages that die. */
export class DiskStage extends Stage {
  page(stored: Stored, faults: Faults = {}, config: Partial<Config> = {}) {
    const fetch = async (url: string) => {
      const { status, body } = this.answer(new URL(url).pathname);
      return { status, text: async () => JSON.stringify(body) };
    };
    const page = new Page(this.clock, this.random, this.network, stored, faults, fetch);
    const db = new Database(
      { appId: 'app', schema: SHELF_SCHEMA, server: 'http://test', ...config },
      page.environment,
    );
    return { page, db };
  }
}

/** The titles of the books that are shown. */
export function titles(state: QueryState): unknown[] {
  return (state.data?.books ?? []).map(({ title }) => title);
}

/** Watches a query, and keeps what it showed. */
export function watch(
  db: Database,
  query: object = BOOKS,
): { seen: { titles: unknown[]; source: QueryState['source'] }[]; observer: Observer } {
  const seen: { titles: unknown[]; source: QueryState['source'] }[] = [];
  const observer = db.observe(query);
  const look = () => seen.push({ titles: titles(observer.get()), source: observer.get().source });
  observer.subscribe(look);
  return { seen, observer };
}

export function offline(stage: Stage): void {
  stage.network.cutAll();
  stage.network.isUp = false;
}
