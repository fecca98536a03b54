/**
 * The element's style. Its colours are custom properties that a page may set on the element: --ba-paper, --ba-ink, --ba-quiet, --ba-border,
 * --ba-accent, --ba-on-accent, --ba-soft; --ba-more and --ba-less for differences; one for each pattern (--ba-next, ...), --ba-none for a head without one.
 */
export const STYLES = `
:host {
  --ba-paper: light-dark(#fff, #1b1e22);
  --ba-ink: light-dark(#1d1f21, #e7e8e9);
  --ba-quiet: light-dark(#5b5f63, #a1a7ae);
  --ba-border: light-dark(#e2dfd9, #2c3137);
  --ba-accent: light-dark(#0b6163, #6cc9c4);
  --ba-on-accent: light-dark(#fff, #0c1516);
  --ba-soft: light-dark(#e1efee, #173233);
  --ba-more: light-dark(#0b6163, #6cc9c4);
  --ba-less: light-dark(#b3471f, #f0946f);
  --ba-next: light-dark(#2458b8, #7aa7f5);
  --ba-previous: light-dark(#7a3fa8, #c59af0);
  --ba-same: light-dark(#0b7a5b, #58cfa6);
  --ba-start: light-dark(#9a6a00, #e0b450);
  --ba-end: light-dark(#6f6a5c, #b3ad9c);
  --ba-punctuation: light-dark(#b3471f, #f0946f);
  --ba-other: light-dark(#b02a6f, #ef86bb);
  --ba-broad: light-dark(#3c7d1e, #93cf71);
  --ba-none: light-dark(#3b3f44, #c3c8ce);
  display: block;
  container-type: inline-size;
  color: var(--ba-ink);
  font-size: 0.9375rem;
  font-variant-numeric: tabular-nums;
  line-height: 1.5;
}
:host([hidden]) { display: none; }
*, *::before, *::after { box-sizing: border-box; }
h2, p, ol, dl, dd { margin: 0; padding: 0; }
ol { list-style: none; }
[hidden] { display: none !important; }
.probe { position: absolute; visibility: hidden; }
button, input { font: inherit; font-variant-numeric: inherit; color: inherit; }
:focus-visible { outline: 2px solid var(--ba-accent); outline-offset: 2px; }
input { accent-color: var(--ba-accent); }
code { font-family: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, monospace; font-size: 0.9em; }

.view { display: grid; gap: 2rem; grid-template-columns: minmax(0, 1fr); }
.view.solo .overview { display: none; }
@container (min-width: 60rem) {
  .view:not(.solo) { grid-template-columns: minmax(0, 1.05fr) minmax(0, 1fr); grid-template-rows: auto auto 1fr; gap: 2rem 3.5rem; align-items: start; }
  .view:not(.solo) .head { grid-area: 1 / 2 / span 3; }
  .view.solo .head, .view.solo .scores { max-width: 56rem; }
}
.overview, .head { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); align-content: start; }

button {
  min-height: 2rem;
  padding: 0 0.75rem;
  border: 1px solid var(--ba-border);
  border-radius: 5px;
  background: var(--ba-paper);
  font-size: 0.8125rem;
  cursor: pointer;
  touch-action: manipulation;
}
button:hover { border-color: var(--ba-quiet); }
button[aria-pressed="true"] { border-color: var(--ba-accent); background: var(--ba-soft); color: var(--ba-accent); }
button.quiet { border-color: transparent; background: none; color: var(--ba-quiet); padding: 0 0.375rem; }
button.quiet:hover { color: var(--ba-ink); border-color: var(--ba-border); }
.finders, .chips { display: flex; flex-wrap: wrap; }
.finders { gap: 0.5rem; }
.chips { gap: 0.375rem; }
.chips button { display: inline-flex; align-items: center; gap: 0.4rem; min-height: 1.75rem; padding: 0 0.5rem; border-radius: 1rem; background: none; }
.chips i { width: 0.625rem; height: 0.625rem; border-radius: 2px; background: var(--dot); }
.chips b { color: var(--ba-quiet); font-weight: 400; }
.chips button[aria-pressed="true"] b { color: inherit; }
.about { color: var(--ba-quiet); font-size: 0.8125rem; max-width: 44rem; }
/* One row each, to be moved sideways: a phone's height is for the pictures. The room around it is for focus rings. */
@container (max-width: 36rem) {
  .finders, .chips { flex-wrap: nowrap; overflow-x: auto; scrollbar-width: none; margin: -4px; padding: 4px; }
  .finders button, .chips button { flex: none; }
}
.sorted { font-size: 0.8125rem; display: grid; gap: 0.5rem; min-height: 4.5rem; align-content: start; }

.board { display: grid; grid-template-columns: 22px minmax(0, 1fr); }
.layer-labels { display: grid; gap: var(--gap); grid-auto-rows: var(--cell); align-items: center; color: var(--ba-quiet); font-size: 0.75rem; }
.canvas-box { position: relative; }
.canvas-box canvas { display: block; }
.cells { position: absolute; inset: 0 auto auto 0; display: grid; grid-auto-rows: var(--cell); gap: var(--gap); }
.cells button {
  min-height: 0;
  padding: 0;
  border: 0;
  border-radius: 2px;
  background: none;
  box-shadow: 0 0 0 1px var(--ba-border);
}
.cells button:hover, .cells button.shown { box-shadow: 0 0 0 2px var(--ba-quiet); }
.cells button[aria-pressed="true"] { box-shadow: 0 0 0 2px var(--ba-ink); }
.cells button:focus-visible { outline-offset: 1px; }

.head-line { display: flex; flex-wrap: wrap; align-items: center; gap: 0.25rem 0.5rem; }
.head-name { display: flex; flex-wrap: wrap; align-items: center; gap: 0.25rem 0.75rem; margin-right: auto; }
h2 { font-size: 1.125rem; font-weight: 620; letter-spacing: -0.01em; }
.badge { display: inline-flex; align-items: center; gap: 0.4rem; color: var(--ba-quiet); font-size: 0.8125rem; }
.badge::before { content: ""; width: 0.625rem; height: 0.625rem; border-radius: 2px; background: var(--dot); }
/* Below the name, whose left edge the letters of the first button have. */
@container (max-width: 36rem) {
  .head-name { flex-basis: 100%; }
  .head-name + .quiet { margin-left: -0.375rem; }
}
.head-options { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 1.25rem; font-size: 0.8125rem; }
.segments { display: flex; }
.segments button:first-child { border-radius: 5px 0 0 5px; }
.segments button:last-child { border-radius: 0 5px 5px 0; margin-left: -1px; }
.segments button[aria-pressed="true"] { position: relative; }
.check, .range { display: inline-flex; align-items: center; gap: 0.5rem; min-height: 2rem; }
.check input { width: 1.05rem; height: 1.05rem; margin: 0; }
.range input { width: 8rem; }
.range output { min-width: 2.25rem; }

.drawing { display: grid; grid-template-columns: minmax(0, 1fr) auto minmax(0, 1fr); align-items: start; }
.drawing canvas { display: block; touch-action: pan-y; }
.tokens { display: grid; grid-auto-rows: var(--row); }
.tokens > * {
  display: flex;
  align-items: center;
  gap: 0.5rem;
  min-width: 0;
  min-height: 0;
  height: var(--row);
  padding: 0 0.5rem;
  border: 0;
  border-radius: 3px;
  background: none;
  font-size: 0.875rem;
  white-space: nowrap;
  overflow: hidden;
}
.from > * { justify-content: flex-end; text-overflow: ellipsis; }
.from > .focus { background: var(--ba-soft); color: var(--ba-accent); }
.from > [aria-pressed="true"] { background: var(--ba-accent); color: var(--ba-on-accent); }
.tokens .special { color: var(--ba-quiet); font-size: 0.75rem; }
.from > .special[aria-pressed="true"] { color: var(--ba-on-accent); }
.tokens .masked { font-weight: 620; }
.to > * { justify-content: space-between; }
.to > * > span { overflow: hidden; text-overflow: ellipsis; }
.to b { font-weight: 400; font-size: 0.75rem; }
.tokens .looked { color: var(--ba-ink); }
.readout { grid-column: 1 / -1; min-height: 1.5em; padding-top: 0.375rem; color: var(--ba-quiet); font-size: 0.8125rem; }

.drawing.matrix { grid-template-columns: var(--labels) minmax(0, 1fr); overflow-x: auto; }
.drawing.matrix .to { grid-row: 1; grid-column: 2; display: flex; align-items: flex-end; height: 5.5rem; }
.drawing.matrix .to > * { flex: none; width: var(--row); height: 5.5rem; padding: 0.25rem 0; writing-mode: vertical-rl; transform: rotate(180deg); justify-content: flex-start; border-radius: 3px; }
.drawing.matrix .to > * { font-size: 0.75rem; }
.drawing.matrix .to b { display: none; }
.drawing.matrix .from { grid-row: 2; grid-column: 1; }
.drawing.matrix .from > * { font-size: 0.75rem; }
.drawing.matrix canvas { grid-row: 2; grid-column: 2; }
.drawing.bare .tokens { display: none; }
.drawing.bare canvas { grid-column: 1 / -1; }

.token-bar { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 0.75rem 1.5rem; min-height: 2rem; }
.quiet { color: var(--ba-quiet); font-size: 0.8125rem; }
.guesses { display: grid; gap: 0.25rem; min-width: 14rem; font-size: 0.8125rem; }
.guesses li { display: flex; justify-content: space-between; gap: 1rem; padding: 0.125rem 0.5rem; border-radius: 3px; background: linear-gradient(to right, var(--ba-soft) calc(var(--score) * 100%), transparent 0); }
.guesses b { font-weight: 400; }
h3 { margin: 0 0 0.25rem; font-size: 0.8125rem; font-weight: 620; }
.scores dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); gap: 0 2rem; font-size: 0.8125rem; }
.scores dl > div { position: relative; display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0 1rem; padding: 0.5rem 0 0.625rem; }
.scores dl > div::before, .scores dl > div::after { content: ""; position: absolute; left: 0; bottom: 0.25rem; width: 100%; height: 3px; border-radius: 2px; background: var(--ba-border); }
.scores dl > div::after { width: calc(var(--score) * 100%); background: var(--dot); }
.scores dt { display: grid; }
.scores code { color: var(--ba-quiet); font-size: 0.6875rem; }
.scores .has dt, .scores .has dd { font-weight: 620; }
.scores .has code { font-weight: 400; }
.notice { margin-bottom: 1.5rem; padding: 0.625rem 0.875rem; border-radius: 5px; background: var(--ba-soft); font-size: 0.875rem; }
.notice i { display: inline-block; width: 0.75rem; height: 0.75rem; border-radius: 2px; background: var(--dot); vertical-align: -0.0625rem; }
.footnote { grid-column: 1 / -1; color: var(--ba-quiet); font-size: 0.8125rem; max-width: 60rem; }
@media (pointer: coarse) {
  button { min-height: 2.5rem; }
  .chips button { min-height: 2.25rem; }
  .check, .range { min-height: 2.5rem; }
}
.failure { padding: 1rem; border: 1px solid var(--ba-less); border-radius: 8px; }
`;
