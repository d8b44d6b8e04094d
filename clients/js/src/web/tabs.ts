import type { TabSignals } from '../client/tab-platform.ts';

/** What this file takes of a browser. */
export interface TabGlobals {
  readonly BroadcastChannel?: new (name: string) => Channel;
  readonly addEventListener?: Listen;
  readonly removeEventListener?: Listen;
  readonly document?: { readonly addEventListener?: Listen; readonly removeEventListener?: Listen };
}

type Listen = (type: string, listener: () => void) => void;

interface Channel {
  onmessage: ((event: { data: unknown }) => void) | null;
  postMessage(text: string): void;
  close(): void;
}

/** Channels of a browser, and when a page is frozen. */
export function tabSignals(globals: TabGlobals): TabSignals {
  const BroadcastChannel = globals.BroadcastChannel!;
  return {
    channel: (name, heard) => {
      const channel = new BroadcastChannel(name);
      let isClosed = false;
      channel.onmessage = ({ data }) => {
        if (!isClosed) heard(String(data));
      };
      return {
        send: (text) => {
          if (!isClosed) channel.postMessage(text);
        },
        close: () => {
          isClosed = true;
          channel.close();
        },
      };
    },
    // A page that is kept for going back must hold no lock.
    onFreeze: (then) => both(globals, 'freeze', 'pagehide', then),
    onResume: (then) => both(globals, 'resume', 'pageshow', then),
  };
}

/** Listens to an event of the document and to one of the window. */
function both(globals: TabGlobals, ofDocument: string, ofWindow: string, then: () => void) {
  globals.document?.addEventListener?.(ofDocument, then);
  globals.addEventListener?.(ofWindow, then);
  return () => {
    globals.document?.removeEventListener?.(ofDocument, then);
    globals.removeEventListener?.(ofWindow, then);
  };
}
