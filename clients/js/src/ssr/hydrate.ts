import type { Database } from '../client/database.ts';
import { Hydration } from '../client/hydration.ts';
import { queueName } from './script.ts';

/** What of a database `hydrate` takes; every `init` gives one. */
export type Hydratable = Pick<Database, 'engine'>;

/** Where parts of a page wait, or who takes them. */
interface Queue {
  owner?: Hydratable;
  forEach?(take: (text: string) => void): void;
  push(text: string): unknown;
}

/**
 * Gives a database what the server found while it made the page: its queries show that at once, and
 * go on live from it. Call it before the page is hydrated. What is of another app, or of a format
 * that this client does not read, is left alone: its queries load as ever.
 *
 * page     what `dehydrate` gave; without it the scripts of the page say, those to come too
 * returns  whether something was taken over
 */
export function hydrate(db: Hydratable, page?: unknown): boolean {
  const { engine } = db;
  // Where pages are made, one database may serve them all.
  if (engine.environment.isServer) return false;
  const hydration = (engine.queries.hydrated ??= new Hydration(engine)) as Hydration;
  return page === undefined ? drain(db, hydration.appId) : hydration.add(page);
}

function drain(db: Hydratable, appId: string): boolean {
  const globals = globalThis as unknown as Record<string, Queue | undefined>;
  const name = queueName(appId);
  const queue = globals[name];
  if (queue?.owner === db) return false;
  let isTaken = false;
  const take = (text: string) => {
    isTaken = hydrate(db, parsed(text)) || isTaken;
  };
  globals[name] = { owner: db, push: take };
  queue?.forEach?.(take);
  return isTaken;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A page that was cut on its way.
    return null;
  }
}
