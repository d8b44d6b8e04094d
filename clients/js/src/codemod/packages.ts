/** Where the names of the original's packages are found in this one, by module. */
const MODULES: Readonly<Record<string, string>> = {
  '@instantdb/core': 'tricedb',
  '@instantdb/react': 'tricedb/react',
  '@instantdb/react/nextjs': 'tricedb/next',
  '@instantdb/react-native': 'tricedb/react-native',
  '@instantdb/vue': 'tricedb/vue',
  '@instantdb/svelte': 'tricedb/svelte',
  '@instantdb/solidjs': 'tricedb/solid',
  '@instantdb/admin': 'tricedb/admin',
  '@instantdb/platform': 'tricedb/platform',
};

/** Where a module of the original is found here, or why it is not. */
export function moved(
  module: string,
  entries: ReadonlySet<string>,
): { readonly to: string } | { readonly why: string } {
  const to = MODULES[module];
  if (to === undefined) {
    const isInside = Object.keys(MODULES).some((known) => module.startsWith(`${known}/`));
    return {
      why: isInside
        ? `\`${module}\` is the inside of a package, which is another here`
        : `tricedb has nothing for \`${module}\``,
    };
  }
  return entries.has(to) ? { to } : { why: `this version of tricedb has no \`${to}\`` };
}

/** The package of a module: `@instantdb/react` of `@instantdb/react/nextjs`. */
export function packageOf(module: string): string {
  return module.split('/').slice(0, 2).join('/');
}

const LISTS = /^export (?:type )?\{([^}]*)\}/gm;
const DECLARATIONS =
  /^export (?:declare )?(?:abstract )?(?:type|interface|class|function|const|let|enum) (\w+)/gm;
const STARS = /^export (?:type )?\* from ['"](\.[^'"]*)['"]/gm;

/**
 * Names that a module exports, types too, read from its declarations.
 *
 * text   declarations, as the compiler writes them
 * stars  gives the text of a module that it passes on, by the path that it says
 */
export async function namesOf(
  text: string,
  stars: (path: string) => Promise<readonly string[]>,
): Promise<string[]> {
  const listed = [...text.matchAll(LISTS)].flatMap(([, list]) =>
    list!
      .split(',')
      .map((one) =>
        one
          .trim()
          .replace(/^type /, '')
          .replace(/^.* as /, ''),
      )
      .filter((name) => name !== ''),
  );
  const declared = [...text.matchAll(DECLARATIONS)].map(([, name]) => name!);
  const passedOn = await Promise.all([...text.matchAll(STARS)].map(([, path]) => stars(path!)));
  return [...listed, ...declared, ...passedOn.flat()].filter((name) => name !== 'default');
}
