/** What the page of tabs.test.ts does in a browser. */
import { Database } from '../../src/client/database.ts';
import type { SchemaShape } from '../../src/schema/shape.ts';
import { webEnvironment } from '../../src/web/environment.ts';

const page = {
  start(server: string, schema: SchemaShape) {
    const db = new Database({ appId: 'app', schema, server }, webEnvironment());
    db.subscribeQuery({ tags: {} }, (state) => Object.assign(page, { state }));
    Object.assign(page, { db });
  },
  /** Writes, and says how many milliseconds passed until the server had taken it. */
  async write(id: string, name: string): Promise<{ status: string; ms: number }> {
    const { db } = window.page;
    const from = performance.now();
    const { status, clientId } = await db.transact(db.tx.tags![id]!.update({ name }));
    while (db.pending.get(clientId) && db.pending.get(clientId)!.state !== 'acked')
      await new Promise((resolve) => setTimeout(resolve, 2));
    return { status, ms: performance.now() - from };
  },
  /** Uploads a file of so many bytes. Resolves once it waits: whether it survives the page. */
  upload(path: string, bytes: number): Promise<boolean> {
    const upload = window.page.db.storage.uploadFile(path, new Blob([new Uint8Array(bytes)]));
    upload.catch(() => {});
    return upload.saved;
  },
};

Object.assign(globalThis, { page });
