import { useSyncExternalStore } from 'react';

/** A parameter of the page's address as state: links, reloads and the back button keep it. */
export function useParameter(name: string) {
  const value = useSyncExternalStore(subscribe, () =>
    new URLSearchParams(location.search).get(name),
  );

  function setValue(next: string) {
    const address = new URL(location.href);
    if (address.searchParams.get(name) === next) return;
    address.searchParams.set(name, next);
    history.pushState(null, '', address);
    // Browsers tell of the back button only, not of pushState.
    dispatchEvent(new PopStateEvent('popstate'));
  }

  return [value, setValue] as const;
}

function subscribe(onChange: () => void) {
  addEventListener('popstate', onChange);
  return () => removeEventListener('popstate', onChange);
}
