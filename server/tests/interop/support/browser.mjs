// What the official core client expects of a browser, for Node. Import before `@instantdb/core`.
import { WebSocket } from 'ws';

globalThis.window ??= {};
globalThis.WebSocket = WebSocket;
// Tabs of one browser tell each other about sign-ins; our clients are separate browsers.
globalThis.BroadcastChannel = undefined;

/** A store that lives as long as `shared`, so that a second client can be the same browser. */
export function createStorage(shared = new Map()) {
  return class MemoryStorage {
    constructor(appId, storeName) {
      const key = `${appId}/${storeName}`;
      if (!shared.has(key)) shared.set(key, new Map());
      this.store = shared.get(key);
    }
    async getItem(key) {
      return this.store.get(key) ?? null;
    }
    async removeItem(key) {
      this.store.delete(key);
    }
    async multiSet(pairs) {
      for (const [key, value] of pairs) this.store.set(key, value);
    }
    async setItem(key, value) {
      this.store.set(key, value);
    }
    async getAllKeys() {
      return [...this.store.keys()];
    }
  };
}

/** A network the test switches: `network.set(false)` is the browser's `offline` event. */
export function createNetwork() {
  const listeners = new Set();
  let isOnline = true;
  return {
    set(value) {
      isOnline = value;
      for (const listener of listeners) listener(value);
    },
    Listener: class {
      static async getIsOnline() {
        return isOnline;
      }
      static listen(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      }
    },
  };
}
