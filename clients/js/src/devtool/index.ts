import type { Database } from '../client/database.ts';
import { partsOf } from './parts.ts';
import { Model } from './model.ts';
import type { PageGlobals } from './page.ts';
import { Panel } from './panel.ts';
import { refusedCount, type ViewName, VIEWS } from './views.ts';

/** After it was drawn the panel is drawn again so much later at the earliest. */
const DRAW_MS = 100;

/** And not before so many times what drawing it took: apps with much data stay as fast. */
const DRAW_SHARE = 10;

/** What `mountDevtool` takes. */
export interface DevtoolOptions {
  /** Where it is put; the body of the page if left out. It stands fixed at the lower edge. */
  readonly into?: {
    /** Puts the panel at the end, as an element of the page does. */
    append(node: any): void;
  };
  /** Whether it is open at first. */
  readonly isOpen?: boolean;
  /** False hides values in frames and errors of the time line, as for `db.trace`. */
  readonly values?: boolean;
}

/**
 * Puts a panel on the page that shows what a database does: open queries, pending writes, the wire,
 * what is known, the connection, and a time line. It asks no other site for anything, and is a part
 * of an app only if the app imports it:
 *
 *     if (import.meta.env.DEV)
 *       void import('tricedb/devtool').then(({ mountDevtool }) => mountDevtool(db));
 *
 * returns  takes it away again
 */
export function mountDevtool(
  db: Pick<Database, 'trace' | 'pending'>,
  opts: DevtoolOptions = {},
  globals = globalThis as unknown as PageGlobals,
): () => void {
  const parts = partsOf(db);
  const { environment } = parts;
  const now = () => environment.elapsedMs?.() ?? environment.now();
  const model = new Model();
  let isWaiting = false;
  let isGone = false;
  let cancelWait = () => {};
  let drawn = -1;

  const draw = () => {
    if (isGone) return;
    drawn = model.version;
    const start = now();
    panel.draw();
    const waitMs = Math.max(DRAW_MS, DRAW_SHARE * (now() - start));
    cancelWait = environment.timer(waitMs, () => {
      isWaiting = false;
      if (model.version !== drawn) changed();
    });
  };
  const changed = () => {
    if (isWaiting || isGone) return;
    isWaiting = true;
    globals.requestAnimationFrame(draw);
  };

  const panel = new Panel(globals, {
    tabs: Object.keys(VIEWS),
    sheet: (tab, filter) => VIEWS[tab as ViewName](parts, model, filter),
    refused: () => refusedCount(parts),
    clear: () => model.clear(),
    changed: () => {
      model.version += 1;
      changed();
    },
  });
  const stopTrace = db.trace((event) => {
    model.take(event);
    changed();
  }, opts);
  if (opts.isOpen) panel.setOpen(true);
  (opts.into ?? globals.document.body).append(panel.host);
  return () => {
    isGone = true;
    cancelWait();
    stopTrace();
    panel.host.remove();
  };
}
