// The clients that are measured, each opened by the same few words, and a writer that is neither.
import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';
import { MeteredSocket } from './metered-socket.mjs';

// What both expect of a browser.
globalThis.window ??= {};
globalThis.WebSocket = MeteredSocket;
globalThis.BroadcastChannel = undefined;

let opened = 0;

/** Returns a database of the client `which`: 'tricedb' or '@instantdb/core'. */
export async function open(which, { url, app }) {
  const config = {
    appId: app,
    apiURI: url,
    websocketURI: `${url.replace('http', 'ws')}/runtime/session`,
  };
  if (which === 'tricedb') {
    const { init } = await import('../../clients/js/dist/index.js');
    return init(config);
  }
  const { init } = await import('@instantdb/core');
  // It hands out the same database for the same app; here each is a device of its own.
  const own = { ...config, devtool: false, __extraDedupeKey: `device ${++opened}` };
  return init(own, memoryStorage(), AlwaysOnline);
}

class AlwaysOnline {
  static async getIsOnline() {
    return true;
  }
  static listen() {
    return () => {};
  }
}

function memoryStorage() {
  return class {
    kept = new Map();
    async getItem(key) {
      return this.kept.get(key) ?? null;
    }
    async removeItem(key) {
      this.kept.delete(key);
    }
    async setItem(key, value) {
      this.kept.set(key, value);
    }
    async multiSet(pairs) {
      for (const [key, value] of pairs) this.kept.set(key, value);
    }
    async getAllKeys() {
      return [...this.kept.keys()];
    }
  };
}

/** Another client, by the protocol alone: what it costs this process is the same for both. */
export class Writer {
  static async open({ url, app }) {
    const writer = new Writer();
    writer.socket = new WebSocket(`${url.replace('http', 'ws')}/runtime/session?app_id=${app}`);
    await new Promise((resolve) => writer.socket.once('open', resolve));
    const answer = new Promise((resolve) => writer.socket.once('message', resolve));
    writer.send({ op: 'init', 'app-id': app, versions: {} });
    const { attrs } = JSON.parse(String(await answer));
    writer.title = attrs.find(
      ({ 'forward-identity': [, etype, label] }) => etype === 'todos' && label === 'title',
    ).id;
    return writer;
  }

  send(message) {
    this.socket.send(JSON.stringify({ 'client-event-id': randomUUID(), ...message }));
  }

  retitle(id, title) {
    this.send({ op: 'transact', 'tx-steps': [['add-triple', id, this.title, title]] });
  }

  close() {
    this.socket.close();
  }
}
