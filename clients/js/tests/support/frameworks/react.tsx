import { act, render } from '@testing-library/react';
import type { ReactNode } from 'react';
import { ReactDatabase } from '../../../src/react/database.ts';
import type { FrameworkUnderTest } from './framework.ts';

export const react: FrameworkUnderTest = {
  name: 'React',
  database: (config, environment) => new ReactDatabase(config, environment),
  mount(use, show) {
    let renders = 0;
    function Probe({ at }: { at: number }): ReactNode {
      renders++;
      return <p>{show(use(() => at))}</p>;
    }
    const view = render(<Probe at={0} />);
    return {
      text: () => view.container.textContent,
      renders: () => renders,
      set: (at) => react.act(() => view.rerender(<Probe at={at} />)),
      unmount: () => view.unmount(),
    };
  },
  input: (read) => read(),
  state: (given) => given,
  value: (given) => given,
  act: (run) => act(async () => void (await run())),
};
