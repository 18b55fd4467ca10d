"""A figure for a browser as one HTML file, which needs neither another file nor the network."""

import base64
import gzip
import json
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from .page_assets import POLICY, plotly_script

Chart = Mapping[str, Any]
"""``data`` and ``layout`` as plotly reads them, and a ``note``."""

STYLE = """
:root { --paper: #ffffff; --ink: #1b1f24; --quiet: #57606a; --rule: #d5d9de; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e8eaed; --quiet: #a3abb5; --rule: #3a4048; }
}
body { margin: 0 auto; padding: 0.75rem 1rem; max-width: 90rem; background: var(--paper); color: var(--ink);
  font: 0.95rem/1.45 system-ui, sans-serif; }
p { color: var(--quiet); margin: 0.25rem 0 0; max-width: 90ch; }
"""

SCRIPT = r"""
"use strict";
(async () => {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (part) => part.charCodeAt(0));
  const library = document.createElement("script");
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  library.textContent = await new Response(unpacked).text();
  document.head.append(library);
  const chart = JSON.parse(document.getElementById("chart").textContent);
  const box = document.getElementById("plot");
  const config = { displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "",
    toImageButtonOptions: { format: "svg" } };
  function draw() {
    const { data, layout } = structuredClone(chart);
    const style = getComputedStyle(document.documentElement);
    const [ink, rule, quiet] = ["ink", "rule", "quiet"].map((name) => style.getPropertyValue("--" + name).trim());
    for (const trace of data) {
      // Black lines would vanish on a dark page.
      for (const part of [trace.line, trace.marker]) if (part && part.color === "#000000") part.color = ink;
    }
    for (const [key, axis] of Object.entries(layout)) {
      if (/^[xy]axis/.test(key)) Object.assign(axis, { gridcolor: rule, linecolor: quiet });
    }
    Object.assign(layout, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", uirevision: "kept",
      font: { color: ink, family: "system-ui, sans-serif", size: 12 } });
    Plotly.react(box, data, layout, config);
  }
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
"""


def file_stem(name: str) -> str:
    """Return a figure's name with what is not fit for a file's name as underscores."""
    return re.sub(r"[^\w.+-]+", "_", name)


def chart_page(name: str, chart: Chart) -> str:
    """Return the page of a chart, with its note below it.

    Raises
    ------
    UserError
        If plotly is missing.
    """
    content = json.dumps({key: chart[key] for key in ("data", "layout")}, separators=(",", ":"), allow_nan=False)
    note = f"<p>{escape(str(chart['note']))}</p>" if chart.get("note") else ""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(name.replace('_', ' '))}</title>",
            '<link rel="icon" href="data:,">',
            f"<style>{STYLE}</style>",
            "</head>",
            f'<body><div id="plot"></div>{note}',
            f'<script type="application/octet-stream" id="plotly">{packed_plotly()}</script>',
            # A "<" within the data could end the element that holds it.
            f'<script type="application/json" id="chart">{content.replace("<", chr(92) + "u003c")}</script>',
            f"<script>{SCRIPT}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


@cache
def packed_plotly() -> str:
    """Return plotly's library, compressed, in base64: a run has several pages, each with its own copy."""
    return base64.b64encode(gzip.compress(plotly_script().encode(), 9, mtime=0)).decode("ascii")


def save_charts(charts: Mapping[str, Chart], folder: Path) -> list[Path]:
    """Write each chart as ``<name>.html`` and return the paths; the folder is made where it is missing."""
    if charts:
        folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{file_stem(name)}.html" for name in charts}
    for name, chart in charts.items():
        paths[name].write_text(chart_page(name, chart), encoding="utf-8")
    return list(paths.values())
