"""Style and scripts of the page; they stand within it, so that it needs no other file."""

from importlib import import_module

from .. import UserError

# Nothing may be fetched, whatever is embedded: a browser refuses it before it reaches the network.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"

STYLE = """
:root {
  --paper: #ffffff; --panel: #f5f6f8; --ink: #1b1f24; --quiet: #57606a; --rule: #d5d9de; --accent: #0b5cad;
  --best: #dcefe4; color-scheme: light dark;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --panel: #1d2126; --ink: #e8eaed; --quiet: #a3abb5; --rule: #3a4048; --accent: #79b8ff;
    --best: #1f4030;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.25rem clamp(0.75rem, 3vw, 2.5rem) 3rem; max-width: 100rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif;
}
h1, h2, h3, h4, summary, code, figcaption, li { overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 0.75rem; }
h2 { font-size: 1.3rem; margin: 2rem 0 0; padding-top: 1rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.1rem; margin: 1.75rem 0 0.5rem; }
h4 { font-size: 0.9rem; margin: 0.75rem 0 0.25rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.quiet, small, caption { color: var(--quiet); font-size: 0.875rem; }
.quiet { max-width: 75ch; }
ul.quiet { padding-left: 1.1rem; }
.counts { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0; }
.counts div { background: var(--panel); border-radius: 0.4rem; padding: 0.35rem 0.8rem; }
.counts dt { color: var(--quiet); font-size: 0.8rem; }
.counts dd { margin: 0; font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; max-width: 100%; border: 1px solid var(--rule); border-radius: 0.4rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0.5rem 0.75rem; }
th, td { padding: 0.4rem 0.75rem; text-align: right; white-space: nowrap; border-top: 1px solid var(--rule); }
th:first-child {
  text-align: left; position: sticky; left: 0; background: var(--paper); white-space: normal; min-width: 7.5rem;
  max-width: 22rem; overflow-wrap: anywhere;
}
tbody th { font-weight: 500; }
tbody tr:hover > * { background: var(--panel); }
thead th { padding: 0; background: var(--panel); }
thead th:first-child { background: var(--panel); }
thead button {
  font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0.5rem 0.75rem; width: 100%;
  text-align: inherit; cursor: pointer; white-space: nowrap;
}
thead button:focus-visible { outline-offset: -3px; }
thead button:hover { color: var(--accent); }
th[aria-sort] button { text-decoration: underline 2px; text-underline-offset: 0.3em; }
tr.divider th, tr.divider:hover th { background: var(--panel); color: var(--quiet); font-size: 0.8rem; }
tr.divider th { max-width: none; }
td strong { background: var(--best); border-radius: 0.25rem; padding: 0.1rem 0.3rem; margin: 0 -0.3rem; }
figure { margin: 0; min-width: 0; }
.charts { display: grid; gap: 1.5rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); }
.plot { min-height: 25rem; width: 100%; }
details { border: 1px solid var(--rule); border-radius: 0.4rem; margin: 0.5rem 0; padding: 0 0.75rem; }
details[open] { padding-bottom: 0.75rem; }
summary { cursor: pointer; padding: 0.45rem 0; }
.gallery { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 34rem), 1fr)); }
.image img {
  display: block; width: 100%; max-height: 30rem; object-fit: contain; background: #ffffff; border-radius: 0.3rem;
}
.image figcaption { color: var(--quiet); font-size: 0.875rem; padding-top: 0.25rem; }
pre {
  margin: 0; padding: 0.6rem 0.75rem; max-height: 24rem; overflow: auto; border-radius: 0.3rem;
  background: var(--panel); font-size: 0.8rem; line-height: 1.45;
}
footer { margin-top: 2.5rem; }
@media print { .scroll, pre { overflow: visible; max-height: none; } figure { break-inside: avoid; } }
"""

SCRIPT = r"""
"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const boxes = [...document.querySelectorAll(".plot")];
  const config = {
    displaylogo: false,
    // The button that shares a chart would send it to a server.
    showSendToCloud: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    plotlyServerURL: "",
    toImageButtonOptions: { format: "svg" },
  };
  // In pixels: the vertical axis, what stands above and below it, and the legend under all that.
  const AXIS_HEIGHT = 260;
  const ABOVE = 30;
  const BELOW = 60;
  const MOST_LEGEND = 240;
  const NARROW = 600;

  function scheme() {
    const style = getComputedStyle(document.documentElement);
    const names = ["ink", "quiet", "rule", "paper", "panel", "accent"];
    return Object.fromEntries(names.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
  }

  // The legend stands below the axes; its height follows from how many entries fit beside one another. A higher one
  // than MOST_LEGEND scrolls.
  function legendHeight(traces, width) {
    const names = traces.filter((trace) => trace.showlegend !== false).map((trace) => trace.name.split("<br>"));
    const letters = Math.max(...names.flat().map((line) => line.length));
    const columns = Math.max(1, Math.floor(width / (letters * 6.6 + 48)));
    const tallest = Math.max(...names.map((name) => name.length));
    return Math.min(MOST_LEGEND, Math.ceil(names.length / columns) * (13 + 16 * tallest));
  }

  function draw(box) {
    const { traces, layout } = structuredClone(charts[box.id]);
    const colours = scheme();
    for (const trace of traces) {
      // Black lines would vanish on a dark page.
      trace.line.color = trace.line.color.replace("#000000", colours.ink);
      if (trace.fillcolor) trace.fillcolor = trace.fillcolor.replace("#000000", colours.ink);
    }
    for (const axis of [layout.xaxis, layout.yaxis]) {
      Object.assign(axis, { gridcolor: colours.rule, linecolor: colours.quiet, zeroline: false, showline: true });
    }
    const legend = legendHeight(traces, box.clientWidth);
    const height = ABOVE + AXIS_HEIGHT + BELOW + legend;
    box.style.height = height + "px";
    Object.assign(layout, {
      height,
      width: box.clientWidth,
      margin: { l: 10, r: 10, t: ABOVE, b: BELOW + legend },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colours.ink, family: "system-ui, sans-serif", size: 12 },
      hoverlabel: { bgcolor: colours.panel, bordercolor: colours.rule, font: { color: colours.ink }, namelength: -1 },
      // On a small screen a box with all values would hide the curves.
      hovermode: box.clientWidth < NARROW ? "closest" : layout.hovermode,
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colours.quiet, activecolor: colours.accent },
      legend: {
        orientation: "h", xref: "container", yref: "container", x: 0, y: legend / height, yanchor: "top",
        maxheight: MOST_LEGEND,
      },
      // What was hidden or enlarged stays so when the page is drawn anew.
      uirevision: "kept",
    });
    Plotly.react(box, traces, layout, config);
    box.dataset.drawn = "true";
  }

  const drawn = () => boxes.filter((box) => box.dataset.drawn);
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((entry) => entry.isIntersecting)) {
      watcher.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "600px" });
  boxes.forEach((box) => watcher.observe(box));
  addEventListener("beforeprint", () => boxes.forEach(draw));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn().forEach(draw));
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    requestAnimationFrame(() => drawn().forEach(draw));
  });

  function sortBy(head) {
    const table = head.closest("table");
    const column = head.cellIndex;
    const opposite = { ascending: "descending", descending: "ascending" };
    const direction = opposite[head.getAttribute("aria-sort")] ?? head.dataset.first;
    const sign = direction === "ascending" ? 1 : -1;
    const value = (row) => row.cells[column].dataset.value;
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction);
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains("divider"));
      // What is unknown stands last in either direction.
      rows.sort((a, b) => (value(a) === "") - (value(b) === "") || sign * (value(a) - value(b)));
      body.append(...rows);
    }
  }
  for (const button of document.querySelectorAll("thead button")) {
    button.addEventListener("click", () => sortBy(button.closest("th")));
  }
})();
"""


def plotly_script() -> str:
    """Return plotly's JavaScript library."""
    try:
        return str(import_module("plotly.offline").get_plotlyjs())
    except ModuleNotFoundError as error:
        raise UserError("bioppo report draws with plotly, which is not installed: `pip install plotly`.") from error
