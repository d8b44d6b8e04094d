/** kB (1,000 bytes) after gzip: of what is loaded first, and with what is loaded later. */
export interface Sizes {
  readonly first: number;
  readonly all: number;
  /** What the piece of a name adds to `first`. */
  beside(name: string): number;
  /** All of the code, minified. */
  readonly code: string;
}

export const BOUNDS_KB: {
  readonly first: number;
  readonly local: number;
  readonly disk: number;
  readonly react: number;
  readonly native: number;
  readonly hooks: number;
  readonly devtool: number;
  readonly everything: number;
};

export function measure(name: string, dist?: string): Promise<Sizes>;
