import { flushSync, mount, tick, unmount } from 'svelte';
import { fromStore, writable } from 'svelte/store';
import { HookDatabase } from '../../../src/hooks/database.ts';
import { svelte as hooks } from '../../../src/svelte/index.ts';
import type { FrameworkUnderTest } from './framework.ts';
import Probe from './probe.svelte';

export const svelte: FrameworkUnderTest = {
  name: 'Svelte',
  database: (config, environment) => new HookDatabase(config, environment, hooks),
  mount(use, show) {
    let renders = 0;
    const store = writable(0);
    const input = fromStore(store);
    const target = document.createElement('div');
    const props = {
      use: () => use(() => input.current),
      show: (used: unknown) => {
        renders++;
        return show(used);
      },
    };
    const component = mount(Probe, { target, props });
    flushSync();
    return {
      text: () => target.textContent,
      renders: () => renders,
      set: (at) => svelte.act(() => store.set(at)),
      unmount: () => void unmount(component),
    };
  },
  input: (read) => read,
  state: (given) => given,
  value: (given) => given.current,
  async act(run) {
    await run();
    await tick();
  },
};
