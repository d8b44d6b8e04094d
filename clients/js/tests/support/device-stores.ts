/** Packages of devices as they behave: what the disks of React Native stand on. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Database, type Statement } from 'node-sqlite3-wasm';
import type { AsyncStorage } from '../../src/react-native/async-storage.ts';
import type { Mmkv } from '../../src/react-native/mmkv.ts';
import type { ExpoSqlite } from '../../src/react-native/sqlite.ts';

/**
 * expo-sqlite with files in a folder. As there, one file is one connection however often it is
 * opened, an open file cannot be deleted, and a text ends at its first NUL.
 */
export class FakeSqlite implements ExpoSqlite {
  /** All that was run, in order. */
  readonly log: string[] = [];
  /** Called before each statement; what it throws is what the statement fails with. */
  before: (sql: string) => void = () => {};
  readonly #folder: string;
  readonly #open = new Map<string, { database: Database; users: number }>();

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  pathOf(name: string): string {
    return join(this.#folder, name);
  }

  async openDatabaseAsync(name: string) {
    let file = this.#open.get(name);
    if (!file) {
      file = { database: new Database(this.pathOf(name)), users: 0 };
      this.#open.set(name, file);
    }
    file.users += 1;
    const { database } = file;
    const run = async <T>(sql: string, work: () => T): Promise<T> => {
      await Promise.resolve();
      this.before(sql);
      this.log.push(sql);
      if (!database.isOpen) throw new Error('Access to closed resource');
      try {
        return work();
      } catch (error) {
        throw new Error(`Calling a native function has failed: ${String(error)}`, { cause: error });
      }
    };
    return {
      execAsync: (sql: string) => run(sql, () => database.exec(sql)),
      prepareAsync: (sql: string) =>
        run(`prepare ${sql}`, () => this.#statementOf(sql, database.prepare(sql), run)),
      closeAsync: async () => {
        await Promise.resolve();
        file.users -= 1;
        if (file.users > 0) return;
        this.#open.delete(name);
        database.close();
      },
    };
  }

  async deleteDatabaseAsync(name: string): Promise<void> {
    await Promise.resolve();
    if (this.#open.has(name))
      throw new Error(`Unable to delete database '${name}' that is currently open.`);
    if (!existsSync(this.pathOf(name))) throw new Error(`Database '${name}' not found`);
    rmSync(this.pathOf(name));
  }

  /** Rows of a query, beside the adapter: what is in the file. */
  ask(name: string, sql: string): unknown[] {
    return this.#open.get(name)!.database.all(sql);
  }

  #statementOf(
    sql: string,
    statement: Statement,
    run: <T>(sql: string, work: () => T) => Promise<T>,
  ) {
    return {
      executeAsync: (params: string[]) =>
        run(sql, () => {
          const isQuery = sql.startsWith('SELECT');
          const rows = isQuery ? statement.all(params) : [];
          if (!isQuery) statement.run(params);
          return { getAllAsync: async () => rows };
        }),
      finalizeAsync: () => run(`finalize ${sql}`, () => statement.finalize()),
    };
  }
}

/** What stays of a store of texts when the app dies. */
export class Texts {
  readonly kept = new Map<string, string>();
  /** Called before and after each text is set or removed: what it throws ends the call there. */
  step: () => void = () => {};
  /** Changes the order in which the texts of one call are set. */
  shuffle: <T>(all: T[]) => T[] = (all) => all;

  set(key: string, text: string): void {
    this.step();
    this.kept.set(native(key), native(text));
    this.step();
  }

  remove(key: string): void {
    if (!this.kept.has(native(key))) return;
    this.step();
    this.kept.delete(native(key));
    this.step();
  }

  keys(): string[] {
    return [...this.kept.keys()];
  }

  get(key: string): string | undefined {
    return this.kept.get(native(key));
  }
}

/** A text that went through C++ and UTF-8: it ends at a NUL, and has no halves of pairs. */
function native(text: string): string {
  return Buffer.from(text.split('\0')[0]!, 'utf8').toString('utf8');
}

/** AsyncStorage of version 2 or 3. On iOS the texts of one call are set one after the other. */
export function fakeAsyncStorage(texts: Texts, version: 2 | 3, charsMax = Infinity): AsyncStorage {
  const check = (pairs: readonly (readonly [string, string])[]) => {
    const chars = [...texts.kept].reduce((sum, [key, text]) => sum + key.length + text.length, 0);
    const more = pairs.reduce((sum, [key, text]) => sum + key.length + text.length, 0);
    if (chars + more > charsMax) throw new Error('database or disk is full (code 13 SQLITE_FULL)');
  };
  const set = async (pairs: readonly (readonly [string, string])[]) => {
    await Promise.resolve();
    check(pairs);
    for (const [key, text] of texts.shuffle([...pairs])) texts.set(key, text);
  };
  const remove = async (keys: readonly string[]) => {
    await Promise.resolve();
    for (const key of texts.shuffle([...keys])) texts.remove(key);
  };
  const getAllKeys = async () => texts.keys();
  if (version === 3)
    return {
      getAllKeys,
      getMany: async (keys) => Object.fromEntries(keys.map((key) => [key, texts.get(key) ?? null])),
      setMany: (entries) => set(Object.entries(entries)),
      removeMany: remove,
    };
  return {
    getAllKeys,
    multiGet: async (keys) => keys.map((key) => [key, texts.get(key) ?? null] as const),
    multiSet: set,
    multiRemove: remove,
  };
}

/** MMKV, an instance for each id. `remove` of version 4 was `delete` before. */
export function fakeMmkv(version: 3 | 4, textsOf: (id: string) => Texts): (id: string) => Mmkv {
  return (id) => {
    const texts = textsOf(id);
    const remove = (key: string) => texts.remove(key);
    return {
      getAllKeys: () => texts.keys(),
      getString: (key) => texts.get(key),
      set: (key, value) => {
        if (key === '') throw new Error('The key is empty.');
        texts.set(key, value);
      },
      ...(version === 4 ? { remove } : { delete: remove }),
    };
  };
}
