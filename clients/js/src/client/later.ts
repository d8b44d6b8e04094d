/**
 * What an app does not need for its first paint: one piece of code, fetched when some of it is
 * first used, and when the page is first idle. In several pieces it would be larger, and all of
 * them are wanted where an app may go offline.
 */
export { Calls } from '../calls/calls.ts';
export { explain } from '../explanations.ts';
export { HeldUploads, settleUpload } from '../files/held.ts';
export { both, replaces } from '../pending/merge.ts';
export { tidy } from '../pending/tidy.ts';
export { Cache } from '../persistence/cache.ts';
export { noteEnded, sweepEnded } from '../persistence/ended.ts';
export { FollowerDisk } from '../persistence/follower-disk.ts';
export { KeptFiles } from '../persistence/kept-files.ts';
export { covers, entityAsked, isFindable } from '../query/cover.ts';
export { refreshTop } from '../query/refresh.ts';
export { TotalForms } from '../query/totals.ts';
export { wholeNamespaces } from '../query/whole.ts';
export { Rooms } from '../rooms/rooms.ts';
export { probeWebSocket } from '../session/probe.ts';
export { Failures } from '../session/failures.ts';
export { moveTotals } from '../store/move-totals.ts';
export { StreamEnds } from '../streams/streams.ts';
export { TabLife } from '../tabs/life.ts';
export { lineOf } from '../tabs/part-line.ts';
export { freeUs } from '../values/free-dates.ts';
export { openEvents } from '../web/events.ts';
export { tabSignals } from '../web/tabs.ts';
export { CookieSync } from './cookie-sync.ts';
export { passkeysOf } from '../web/passkeys.ts';
export { PagedList } from './pages.ts';
export { SignIn } from './sign-in.ts';
export { allSent } from './all-sent.ts';
export { watchUser } from './user-watch.ts';

/** The module, as it is once it is here. */
export type Later = typeof import('./later.ts');
