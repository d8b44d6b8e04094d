import type { Database } from '../../src/client/database.ts';
import type { QueryState } from '../../src/store/answer.ts';
import type { Config } from '../../src/client/config.ts';
import type { Environment } from '../../src/client/environment.ts';
import { Browser, type Tab } from '../simulation/browser.ts';
import { BOOKS } from './disk-stage.ts';
import { entity, Stage } from './stage.ts';

/** A stage with one browser. */
export class TabStage extends Stage {
  readonly browser = new Browser(this.clock, this.random, this.network);

  /** Opens a tab, and lets it find its place. */
  async tab(config: Partial<Config> = {}, fetch?: Environment['fetch']): Promise<Tab> {
    const tab = this.browser.open(config, fetch);
    await this.clock.pass(2_500);
    return tab;
  }

  /** Connections that tabs have open now. */
  get open(): number {
    let open = 0;
    for (const { sockets } of this.browser.tabs) open += sockets.size;
    return open;
  }
}

/** What a tab shows of the books, at first and after each change. */
export function watch(db: Database): QueryState[] {
  const seen: QueryState[] = [];
  db.subscribeQuery(BOOKS, (state) => seen.push(state));
  return seen;
}

export function create(db: Database, number: number, title: string) {
  return db.transact(db.tx.books![entity(number)]!.create({ title }));
}

/** What becomes of a write, once it is known. */
export function outcomeOf(done: Promise<{ status: string }>): { status?: string; code?: string } {
  const outcome: { status?: string; code?: string } = {};
  done.then(
    ({ status }) => (outcome.status = status),
    ({ code }: { code: string }) => (outcome.code = code),
  );
  return outcome;
}

export function states(tab: Tab): string[] {
  return tab.db.pending.list().map(({ state }) => state);
}
