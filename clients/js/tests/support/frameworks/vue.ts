import { createApp, defineComponent, h, nextTick, ref } from 'vue';
import { HookDatabase } from '../../../src/hooks/database.ts';
import { vue as hooks } from '../../../src/vue/index.ts';
import type { FrameworkUnderTest } from './framework.ts';

export const vue: FrameworkUnderTest = {
  name: 'Vue',
  database: (config, environment) => new HookDatabase(config, environment, hooks),
  mount(use, show) {
    let renders = 0;
    const input = ref(0);
    const Probe = defineComponent({
      setup() {
        const used = use(() => input.value);
        return () => {
          renders++;
          return h('p', show(used));
        };
      },
    });
    const app = createApp(Probe);
    // What fails in a component is the test's.
    app.config.throwUnhandledErrorInProduction = true;
    const element = document.createElement('div');
    app.mount(element);
    return {
      text: () => element.textContent,
      renders: () => renders,
      set: (at) => vue.act(() => (input.value = at)),
      unmount: () => app.unmount(),
    };
  },
  input: (read) => read,
  state: (given) => given.value,
  value: (given) => given.value,
  async act(run) {
    await run();
    await nextTick();
  },
};
