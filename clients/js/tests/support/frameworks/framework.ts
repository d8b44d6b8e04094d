import type { Config } from '../../../src/client/config.ts';
import type { Environment } from '../../../src/client/environment.ts';

/** A component that a test mounted. */
export interface Mounted {
  /** What it shows. */
  text(): string;
  /** How often it was rendered, or what it shows computed. */
  renders(): number;
  /** Gives its input another value. */
  set(at: number): Promise<void>;
  unmount(): void;
}

/** A framework, as the tests of all of them see it. */
export interface FrameworkUnderTest {
  readonly name: string;
  /** A database with the hooks of the framework. */
  database(config: Config, environment: Environment): any;
  /**
   * Mounts a component.
   *
   * use   called as a component calls hooks; `at` is the component's input, 0 at first
   * show  makes the text out of what `use` gave
   */
  mount(use: (at: () => number) => any, show: (used: any) => string): Mounted;
  /** An input of a hook that is computed anew. */
  input<T>(read: () => T): T | (() => T);
  /** The state that a hook gave, as it is now. */
  state(given: any): any;
  /** The value that a hook gave, as it is now. */
  value(given: any): any;
  /** Does something, and lets the framework render. */
  act(run: () => unknown): Promise<void>;
}
