"""The frame of the report page."""

from __future__ import annotations

from string import Template

__all__ = ["PAGE"]

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root {
  color-scheme: light dark;
  --paper: #fbfbf9; --ink: #1d2226; --soft: #667079; --line: #dcdfe1; --card: #ffffff;
  --mark: #2f6f9f; --mark-soft: #b9d3e5; --warn: #a35b00; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181b; --ink: #e4e7e9; --soft: #98a2aa; --line: #31373c; --card: #1d2125;
    --mark: #7db8e0; --mark-soft: #2c4a60; --warn: #e0a458; --bad: #f0827a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem clamp(.8rem, 4vw, 3rem) 4rem; max-width: 1240px;
  background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.6rem; margin: 0 0 .2rem; }
h2 { font-size: 1.1rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: .95rem; margin: .5rem 0 .2rem; }
.lead, .note { color: var(--soft); }
.note { font-size: .85rem; margin: .4rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .5rem; text-align: right; white-space: nowrap; }
thead th { font-weight: 600; color: var(--soft); text-align: right; }
thead tr:first-child th[colspan] { text-align: left; color: var(--ink); border-left: 1px solid var(--line); }
tbody th { text-align: left; font-weight: 600; white-space: normal; min-width: 5.5rem; }
tbody tr { border-top: 1px solid var(--line); }
.first { border-left: 1px solid var(--line); }
td.text { text-align: left; white-space: normal; }
.chart .grid { stroke: var(--line); }
.chart .tick { fill: var(--soft); font-size: 11px; }
.chart .whisker { stroke: var(--soft); stroke-width: 1.5; }
.chart .box { fill: var(--mark-soft); stroke: var(--mark); }
.chart .bar { fill: var(--mark); }
.chart .median { stroke: var(--ink); stroke-width: 2; }
.charts { display: flex; flex-wrap: wrap; gap: 0 3rem; }
.charts section { min-width: 0; max-width: 100%; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 430px), 1fr)); }
article { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .7rem; }
article img { display: block; width: 100%; max-height: 460px; object-fit: contain; background: #000; }
article ul { margin: .4rem 0 0; padding-left: 1.1rem; font-size: .85rem; color: var(--soft); }
.badge { font-size: .75rem; padding: .1rem .45rem; border: 1px solid currentColor; border-radius: 99px; }
.badge { color: var(--mark); }
.badge.uncertain { color: var(--warn); }
.badge.empty { color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .85rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 480px) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media print { article { break-inside: avoid; } .scroll { overflow: visible; } }
</style>
<header><h1>$title</h1><p class=lead>$lead</p></header>
$sections
</html>
""")
