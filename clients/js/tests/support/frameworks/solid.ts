import { createSignal } from 'solid-js';
import h from 'solid-js/h';
import { render } from 'solid-js/web';
import { HookDatabase } from '../../../src/hooks/database.ts';
import { solid as hooks } from '../../../src/solid/index.ts';
import type { FrameworkUnderTest } from './framework.ts';

export const solid: FrameworkUnderTest = {
  name: 'Solid',
  database: (config, environment) => new HookDatabase(config, environment, hooks),
  mount(use, show) {
    let renders = 0;
    const [input, setInput] = createSignal(0);
    function Probe() {
      const used = use(input);
      const text = () => {
        renders++;
        return show(used);
      };
      return h('p', null, text);
    }
    const element = document.createElement('div');
    const dispose = render(Probe as never, element);
    return {
      text: () => element.textContent,
      renders: () => renders,
      set: async (at) => void setInput(at),
      unmount: dispose,
    };
  },
  input: (read) => read,
  state: (given) => given,
  value: (given) => given(),
  act: async (run) => void (await run()),
};
