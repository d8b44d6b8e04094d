import type { Config } from '../../src/client/config.ts';
import type { Environment, FetchAnswer } from '../../src/client/environment.ts';
import { Browser, type Tab } from '../simulation/browser.ts';
import type { Files } from '../simulation/files.ts';
import { PHOTO_SCHEMA, PhotoStage } from './photo-stage.ts';

/** A stage whose server has files, with one browser. */
export class PhotoTabs extends PhotoStage {
  readonly browser = new Browser(this.clock, this.random, this.network);

  /** Opens a tab, and lets it find its place. */
  async tab(config: Partial<Config> = {}): Promise<Tab> {
    const tab = openPhotoTab(this.browser, this.files, config);
    await this.clock.pass(2_500);
    return tab;
  }

  /** Keys of the rows of what waits on the disk. */
  get rows(): string[] {
    const [tables] = this.browser.stored.disks.databases.values();
    return [...(tables?.get('pending')?.keys() ?? [])];
  }

  /** Ids of uploads of whose bytes the browser keeps some. */
  get kept(): string[] {
    return keptUploads(this.browser);
  }
}

/** Opens a tab whose files go to `files`. What it asks after its death is not asked. */
export function openPhotoTab(browser: Browser, files: Files, config: Partial<Config> = {}): Tab {
  const isDead = () => tab.isDead;
  /** Once the tab runs; never if it is dead. */
  const awake = () => new Promise<void>((resolve) => tab.run(resolve));
  const fetch: Environment['fetch'] = async (url, init) => {
    await awake();
    let answer: FetchAnswer;
    try {
      answer = await files.fetch(url, init, isDead);
    } finally {
      await awake();
    }
    return answer;
  };
  const tab: Tab = browser.open({ schema: PHOTO_SCHEMA, ...config }, fetch);
  return tab;
}

/** Ids of uploads of whose bytes a browser keeps some. */
export function keptUploads(browser: Browser): string[] {
  const [tables] = browser.stored.disks.databases.values();
  const keys = [...(tables?.get('parts') ?? new Map<string, string>()).keys()];
  return [...new Set(keys.map((key) => key.split(':')[0]!))];
}
