/**
 * Calls each listener. What one of them throws keeps nobody else from hearing: it is the page's, as
 * a rejection that nobody handles.
 */
export function tellEach(listeners: Iterable<() => void>): void {
  for (const tell of [...listeners]) {
    try {
      tell();
    } catch (error) {
      void Promise.reject(error as Error);
    }
  }
}
