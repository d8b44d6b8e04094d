/** The panel's style sheet. It lies in a shadow root: nothing of the app's reaches it. */
export const STYLE = `
:host {
  all: initial;
  color-scheme: light dark;
  --back: light-dark(#ffffff, #17181c);
  --raised: light-dark(#f3f4f7, #22242a);
  --line: light-dark(#d5d8df, #3a3d46);
  --text: light-dark(#1b1d22, #eceef2);
  --muted: light-dark(#565c69, #a5abb8);
  --accent: light-dark(#2b51c4, #9db4ff);
  --bad: light-dark(#ad1f2d, #ff9a9f);
  --bad-back: light-dark(#fdeeee, #33191d);
  font: 13px/1.45 system-ui, sans-serif;
  color: var(--text);
}
* { box-sizing: border-box; margin: 0; font: inherit; }
[hidden] { display: none !important; }
button, input { color: inherit; background: var(--back); border: 1px solid var(--line);
  border-radius: 6px; min-height: 28px; padding: 2px 10px; }
button { cursor: pointer; white-space: nowrap; }
button:hover { background: var(--raised); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
.toggle { position: fixed; right: 12px; bottom: 12px; z-index: 2147483000; font-weight: 600;
  border-radius: 18px; min-height: 36px; padding: 4px 14px; display: flex; gap: 8px;
  align-items: center; box-shadow: 0 2px 10px #0003; }
.toggle:focus-visible { outline-offset: 2px; }
.badge { background: light-dark(#ad1f2d, #ff9a9f); color: light-dark(#ffffff, #17181c);
  border-radius: 9px; min-width: 18px; padding: 0 5px; font-size: 12px; text-align: center; }
.panel { position: fixed; inset: auto 0 0 0; height: min(46vh, 480px); z-index: 2147483000;
  display: flex; flex-direction: column; background: var(--back);
  border-top: 1px solid var(--line); box-shadow: 0 -4px 20px #0002; }
header { display: flex; align-items: center; gap: 8px; padding: 6px 8px;
  background: var(--raised); border-bottom: 1px solid var(--line); }
[role=tablist] { display: flex; gap: 2px; overflow-x: auto; flex: 1 1 auto; min-width: 0;
  scrollbar-width: none; }
[role=tab] { border-color: transparent; background: none; color: var(--muted); flex: none; }
[role=tab]:hover { background: var(--back); }
[role=tab][aria-selected=true] { background: var(--back); border-color: var(--line);
  color: var(--text); font-weight: 600; }
.tools { display: flex; gap: 6px; }
.tools input { width: 170px; min-width: 0; cursor: text; }
[aria-pressed=true] { background: var(--accent); color: var(--back); border-color: var(--accent); }
[aria-pressed=true]:hover { background: var(--accent); }
.close { font-size: 18px; line-height: 1; padding: 0 9px; }
.view { flex: 1; overflow: auto; overscroll-behavior: contain; }
.note { padding: 6px 12px; color: var(--muted); border-bottom: 1px solid var(--line); }
.rows { list-style: none; padding: 0; }
li { border-bottom: 1px solid var(--line); }
li.bad { background: var(--bad-back); }
.line { display: flex; align-items: baseline; gap: 4px 16px; padding: 5px 12px 5px 8px;
  list-style: none; }
summary { cursor: pointer; }
summary::-webkit-details-marker { display: none; }
.line::before { content: ''; color: var(--muted); flex: none; width: 12px; text-align: center; }
summary.line::before { content: '▸'; }
details[open] > summary.line::before { content: '▾'; }
summary:hover { background: var(--raised); }
.title { font: 12.5px/1.5 ui-monospace, monospace; flex: 1 1 0; min-width: 0; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
div.line .title { flex: 0 0 180px; }
div.line .facts { flex: 1; }
.kind { flex: none; min-width: 84px; color: var(--muted); font-size: 12px; }
.facts { color: var(--muted); flex: none; font-variant-numeric: tabular-nums; }
li.busy .title { color: var(--accent); }
li.bad .title, .reason { color: var(--bad); }
.reason { padding: 0 12px 6px 36px; overflow-wrap: anywhere; }
.actions { display: flex; gap: 6px; padding: 0 12px 8px 36px; }
.body { font: 12px/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere;
  max-height: 320px; overflow: auto; margin: 2px 12px 8px 36px; padding: 8px 10px;
  background: var(--raised); border: 1px solid var(--line); border-radius: 6px; }
.status { position: fixed; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
@media (max-width: 760px) {
  .panel { height: min(72dvh, 620px); }
  header { flex-wrap: wrap; gap: 6px; }
  [role=tablist] { order: 0; flex: 1 1 60%; }
  [role=tablist] { gap: 0; }
  [role=tab] { padding-inline: 4px; }
  .reason, .actions { padding-left: 28px; }
  .body { margin-left: 28px; max-height: 200px; }
  .close { order: 1; }
  .tools { order: 2; flex: 1 0 100%; }
  .tools input { flex: 1; }
  button, input { min-height: 36px; }
  /* Smaller text makes iOS enlarge the page. */
  input { font-size: 16px; }
  .line { flex-wrap: wrap; gap: 2px 8px; padding-block: 8px; }
  summary .title { flex: 1 1 calc(100% - 110px); }
  .kind { min-width: 68px; }
  summary .facts { padding-left: 20px; flex: 1 1 100%; }
  div.line { flex-wrap: nowrap; }
  div.line .title { flex: 0 0 140px; }
}
@media (prefers-reduced-motion: no-preference) {
  .panel { animation: rise .12s ease-out; }
  @keyframes rise { from { transform: translateY(12px); opacity: 0; } }
}
`;
