import { useEffect, useRef } from 'react';

const CONTROLS = 'button, input, textarea, select';

/**
 * Keep the keyboard's place in a list: whoever removes the row or the field that has the focus,
 * what takes its place gets it, or the region when no row is left. Returns the ref of the region,
 * which needs `tabIndex={-1}`.
 */
export function useKeptFocus() {
  const region = useRef<HTMLElement>(null);
  useEffect(() => {
    const element = region.current;
    if (element === null) return;
    let focused: Element | null = null;
    let place = { row: 0, control: 0 };
    const rows = () => [...element.querySelectorAll('li')];
    const controls = (row?: Element) => [...(row?.querySelectorAll<HTMLElement>(CONTROLS) ?? [])];

    function remember() {
      const row = rows().findIndex((candidate) => candidate.contains(document.activeElement));
      focused = row < 0 ? null : document.activeElement;
      place = { row, control: controls(rows()[row]).findIndex((each) => each === focused) };
    }

    const observer = new MutationObserver(() => {
      const isLost = document.activeElement === document.body && focused?.isConnected === false;
      if (!isLost) return remember();
      const left = rows();
      const next = controls(left[Math.min(place.row, left.length - 1)])[place.control];
      (next ?? element).focus();
    });
    observer.observe(element, { childList: true, subtree: true });

    function stopRepeats(event: KeyboardEvent) {
      // A key that is held down presses one button, not those that come after it as well.
      if (event.repeat && event.key === 'Enter') event.preventDefault();
    }

    element.addEventListener('focusin', remember);
    element.addEventListener('keydown', stopRepeats);
    return () => {
      observer.disconnect();
      element.removeEventListener('focusin', remember);
      element.removeEventListener('keydown', stopRepeats);
    };
  }, []);
  return region;
}
