/** What this folder takes of Next. Its own types would bring those of browsers and Node along. */
declare module 'next/navigation.js' {
  export function useServerInsertedHTML(insert: () => import('react').ReactNode): void;
}

declare module 'next/headers.js' {
  export function cookies(): Promise<{
    get(name: string): { readonly value: string } | undefined;
  }>;
}
