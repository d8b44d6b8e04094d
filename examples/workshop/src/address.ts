import { useSyncExternalStore } from 'react';

/** Which project the address names, after its `#`; "": none. */
export function useProjectId(): string {
  return useSyncExternalStore(subscribe, () => location.hash.slice(1));
}

export function goTo(projectId: string): void {
  location.hash = projectId;
}

function subscribe(onChange: () => void) {
  addEventListener('hashchange', onChange);
  return () => removeEventListener('hashchange', onChange);
}
