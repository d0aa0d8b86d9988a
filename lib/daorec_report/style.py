"""style - how the page looks. Colour is for losses: one for each cause, one for their sum and for
what else needs attention. All else is ink."""

STYLE = """
:root {
  --font: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  --paper: #fff; --ink: #1c2024; --muted: #5f6871; --line: #d9dde1; --mid: #8a939c; --soft: #d3d8de;
  --wash: #f5f6f8; --shade: rgba(28, 32, 36, .28);
  --lapped: #d9580d; --disk: #1769aa; --source: #a8518f; --restart: #0b8a6a; --absent: #857000;
  --alert: #b3261e;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #15181b; --ink: #e6e9ec; --muted: #a0a9b2; --line: #343a40; --mid: #7d8791;
    --soft: #565f68; --wash: #1d2125; --shade: rgba(230, 233, 236, .3);
    --lapped: #ff8a47; --disk: #5fb0f0; --source: #d98cc3; --restart: #3fc7a1; --absent: #cdb53f;
    --alert: #ff7b72;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 var(--font); font-variant-numeric: tabular-nums; }
main { max-width: 1240px; margin: 0 auto; padding: 32px 24px 64px; }
a { color: inherit; text-decoration-color: var(--mid); text-underline-offset: 2px; }
h1 { font-size: 28px; line-height: 1.2; font-weight: 650; margin: 0 0 12px; letter-spacing: -.01em;
  overflow-wrap: anywhere; }
h2 { font-size: 19px; font-weight: 650; margin: 0 0 6px; overflow-wrap: anywhere; }
section { margin-top: 44px; }
.kicker { margin: 0 0 2px; color: var(--muted); font-size: 13px; }
.chip { display: inline-block; vertical-align: middle; font-size: 13px; font-weight: 500;
  border: 1px solid var(--alert); color: var(--alert); border-radius: 99px; padding: 1px 10px;
  letter-spacing: 0; }
.lead { color: var(--muted); margin: 0 0 12px; max-width: 46em; }
dl { margin: 0; display: flex; flex-wrap: wrap; gap: 2px 28px; }
dl div { display: flex; gap: 7px; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }

.tiles { list-style: none; margin: 26px 0 0; padding: 0; display: grid; gap: 0 32px;
  grid-template-columns: repeat(5, auto); border-top: 1px solid var(--line);
  border-bottom: 1px solid var(--line); }
.tiles li { padding: 12px 0; }
.tiles strong { display: block; font-size: 24px; line-height: 1.25; font-weight: 600;
  white-space: nowrap; }
.tiles span, .tiles small { display: block; font-size: 13px; }
.tiles small { color: var(--muted); min-height: 1.5em; }
.tiles .bad strong { color: var(--alert); }
.notes { margin: 22px 0 0; padding: 12px 16px 12px 32px; background: var(--wash);
  border-left: 3px solid var(--alert); }

/* A shade at the edge behind which a table goes on; at the end of the way paper covers it. */
.scroll { overflow-x: auto;
  background: linear-gradient(90deg, var(--paper) 40%, transparent) 0 0 / 40px 100% local,
    linear-gradient(-90deg, var(--paper) 40%, transparent) 100% 0 / 40px 100% local,
    linear-gradient(90deg, var(--shade), transparent) 0 0 / 14px 100% scroll,
    linear-gradient(-90deg, var(--shade), transparent) 100% 0 / 14px 100% scroll;
  background-repeat: no-repeat; }
table { border-collapse: collapse; font-size: 13.5px; line-height: 1.35; }
th { font-weight: 500; text-align: left; }
thead th { color: var(--muted); vertical-align: bottom; white-space: nowrap; }
thead tr:last-child th, thead th[rowspan] { border-bottom: 1px solid var(--mid); }
th small { display: block; font-size: .86em; font-weight: 400; }
td, th { padding: 5px 14px 5px 0; }
td:last-child, th:last-child { padding-right: 0; }
tbody td, tbody th { border-bottom: 1px solid var(--line); vertical-align: top; }
.n { text-align: right; white-space: nowrap; }
.zero { color: var(--mid); }
.summary { width: 100%; }
.summary .span { border-bottom: 1px solid var(--line); text-align: center; }
.summary td, .summary th { padding-right: 11px; }
.summary tbody th { overflow-wrap: anywhere; min-width: 8em; }
.summary tr > :last-child { padding-right: 0; }
.gaps td:nth-child(-n+3) { white-space: nowrap; }
.spread { width: 100%; }

.swatch { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin: 0 4px 0 0; }
.swatch.line { height: 2px; width: 14px; border-radius: 0; vertical-align: middle; }
.swatch.dash { height: 2px; width: 14px; vertical-align: middle; border-radius: 0;
  -webkit-mask: repeating-linear-gradient(90deg, #000 0 4px, transparent 4px 6px);
  mask: repeating-linear-gradient(90deg, #000 0 4px, transparent 4px 6px); }
.legend { list-style: none; margin: 14px 0 0; padding: 0; display: grid; gap: 2px 28px;
  grid-template-columns: 1fr 1fr; font-size: 13.5px; color: var(--muted); }
.legend b { color: var(--ink); font-weight: 500; }

.lane, .axis { display: grid; grid-template-columns: 130px 1fr 112px; gap: 0 14px;
  align-items: end; font-size: 13.5px; }
.lane { padding-top: 6px; }
.lane > * { min-width: 0; }
.lane a { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; line-height: 1; }
.lane span { color: var(--muted); white-space: nowrap; line-height: 1; }
.lane svg { width: 100%; height: 40px; display: block; overflow: visible; }
.lane path { fill: none; vector-effect: non-scaling-stroke; }
.lane.marked > div { position: relative; height: 26px; }
.lane.marked svg { height: 26px; }
.marked div a { position: absolute; bottom: 6px; min-width: 1.7em; padding-left: 4px;
  line-height: 1.3; color: var(--muted); font-size: 12px; text-decoration: none; }
.many div a { padding-left: 0; min-width: 0; bottom: 10px; max-width: none !important; }
.marked b { color: var(--ink); font-weight: 500; }
.marks td:last-child { overflow-wrap: anywhere; }
.marks tr:target { background: var(--wash); }
.axis div { grid-column: 2; position: relative; height: 26px; border-top: 1px solid var(--line);
  margin-top: 4px; }
.axis span { position: absolute; top: 4px; transform: translateX(-50%); color: var(--muted);
  font-size: 12px; white-space: nowrap; }
.axis span::before { content: ""; position: absolute; top: -4px; left: 50%; height: 4px;
  border-left: 1px solid var(--mid); }

.grid { display: grid; grid-template-columns: 1fr 1fr; gap: 22px 36px; margin-top: 16px; }
.grid > * { min-width: 0; }
figure { margin: 0; }
.full { grid-column: 1 / -1; max-width: 720px; }
figcaption { font-size: 13px; color: var(--muted); margin-bottom: 4px; }
figcaption b, .pictures b { color: var(--ink); font-weight: 600; }
figure svg, .wide svg, .narrow svg { display: block; width: 100%; height: auto;
  overflow: visible; }
.narrow { display: none; }
.pictures { margin-top: 20px; }
.pictures p { font-size: 13px; color: var(--muted); margin: 0 0 8px; }
.three { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 16px; }
.three figcaption { margin: 4px 0 0; }
img { display: block; width: 100%; image-rendering: pixelated; background: var(--wash); }
.ramp { display: inline-block; width: 72px; height: 9px; vertical-align: -0.5px; margin: 0 3px;
  border: 1px solid var(--mid); background: linear-gradient(90deg, #000, #fff);
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
.nowrap { white-space: nowrap; }
details { margin-top: 14px; font-size: 13.5px; }
summary { cursor: pointer; color: var(--muted); }
.about { color: var(--muted); font-size: 13.5px; border-top: 1px solid var(--line);
  padding-top: 18px; }
.about h2 { font-size: 15px; color: var(--ink); }
.about dl { display: block; columns: 2; column-gap: 36px; }
.about dl div { display: block; break-inside: avoid; margin-bottom: 8px; }
.about dt { display: inline; color: var(--ink); font-weight: 500; }
.about dt::after { content: " "; }
.about dd { display: inline; }

@media (max-width: 700px) {
  body { font-size: 15px; }
  main { padding: 20px 16px 48px; }
  h1 { font-size: 23px; }
  section { margin-top: 36px; }
  dl { display: block; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 0 20px; }
  .tiles strong { font-size: 21px; }
  .grid, .legend { grid-template-columns: 1fr; }
  .about dl { columns: 1; }
  .lane { grid-template-columns: 1fr auto; }
  .lane svg { grid-row: 2; grid-column: 1 / -1; height: 34px; }
  .lane.marked > div { grid-row: 2; grid-column: 1 / -1; }
  .tight { display: none; }
  .axis { display: block; }
  .axis span:nth-child(2n) { display: none; }
  .wide { display: none; }
  .narrow { display: block; }
  .three { gap: 8px; }
  .spread { font-size: 12.5px; }
  .spread td, .spread th { padding-right: 8px; }
  .summary tbody th, .summary thead tr:first-child th:first-child { position: sticky; left: 0;
    background: var(--paper); }
  .summary tbody th { max-width: 8em; }
}
@media print {
  @page { size: A4; margin: 14mm 13mm; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  section { margin-top: 22pt; }
  table { font-size: 7.6pt; }
  .summary { font-size: 7pt; }
  .summary td, .summary th { padding-right: 5px; }
  .lane, .legend, figcaption, .pictures p, details, .about { font-size: 8.4pt; }
  h2, .lead, .stream > dl { break-after: avoid; }
  .whole, figure, .lanes, .three, .pictures, tr, .tiles, .stream > dl { break-inside: avoid; }
  thead { display: table-header-group; }
  .scroll { overflow: visible; background: none; }
  a { text-decoration: none; }
  .swatch, .notes, svg, img { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  .grid { gap: 14pt 20pt; }
}
"""
