"""Pictures of a profile: speedscope's file format, and one HTML page that needs nothing else.

Format: https://www.speedscope.app/file-format-schema.json, "sampled" profiles with weights, one of cells and one of cycles.
"""

from __future__ import annotations

import json
from typing import Any

from zkvm.session.profiling import Profile

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def speedscope(profile: Profile, name: str) -> dict[str, Any]:
    """The profile as speedscope reads it (https://www.speedscope.app, or the editor extensions that know the format)."""
    frames: dict[str, int] = {}
    samples = [[frames.setdefault(function, len(frames)) for function in path] for path, _, _ in profile.paths]

    def sampled(title: str, weights: list[int]) -> dict[str, Any]:
        return {
            "type": "sampled", "name": title, "unit": "none", "startValue": 0, "endValue": sum(weights),
            "samples": samples, "weights": weights,
        }  # fmt: skip

    return {
        "$schema": SCHEMA,
        "name": name,
        "exporter": "zkvm",
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": function} for function in frames]},
        "profiles": [
            sampled("proving cost (cells)", [cells for _, _, cells in profile.paths]),
            sampled("cycles", [cycles for _, cycles, _ in profile.paths]),
        ],
    }


def tree(profile: Profile) -> dict[str, Any]:
    """Call paths as nested {n: name, c: own cells, y: own cycles, k: children}."""
    nodes: list[dict[str, Any]] = [{"n": "all", "c": 0, "y": 0, "k": []}]
    children: dict[tuple[int, str], int] = {}
    for path, cycles, cells in profile.paths:
        at = 0
        for function in path:
            if (at, function) not in children:
                children[at, function] = len(nodes)
                nodes.append({"n": function, "c": 0, "y": 0, "k": []})
                nodes[at]["k"].append(nodes[-1])
            at = children[at, function]
        nodes[at]["c"] += cells
        nodes[at]["y"] += cycles
    return nodes[0]


def html(profile: Profile, name: str) -> str:
    """One page with an interactive flame graph: click to zoom, type to highlight, cells or cycles. It loads nothing."""
    lines = [[f"{entry.file or '?'}:{entry.line}", entry.cells, entry.cycles] for entry in profile.lines[:100]]
    functions = [[entry.name, entry.cells, entry.cycles, entry.total_cells, entry.total_cycles] for entry in profile.functions[:100]]
    data = {"name": name, "cells": profile.cells, "charged": profile.charged_cells, "cycles": profile.session.cycles}
    content = json.dumps(data | {"tree": tree(profile), "lines": lines, "functions": functions}).replace("<", "\\u003c")
    return PAGE.replace("@DATA@", content)


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>zkvm profile</title><style>
body { font: 13px system-ui, sans-serif; margin: 1.5em; color: #222 } h1 { font-size: 1.2em } h2 { font-size: 1em; margin-top: 2em }
#graph { position: relative } #graph div { position: absolute; height: 19px; line-height: 19px; overflow: hidden; white-space: nowrap;
box-sizing: border-box; border-right: 1px solid #fff; border-bottom: 1px solid #fff; padding-left: 3px; cursor: pointer; font-size: 12px }
#detail { height: 1.5em; margin: .5em 0; color: #555 } table { border-collapse: collapse } td, th { padding: .1em .8em; text-align: right }
td:first-child, th:first-child { text-align: left; font-family: monospace } tr:nth-child(even) { background: #f4f4f4 }
</style></head><body>
<h1></h1><p id="summary"></p>
<p><label><input type="radio" name="unit" value="c" checked> proving cost (cells)</label>
<label><input type="radio" name="unit" value="y"> cycles</label>
&nbsp; <input id="search" placeholder="highlight a function"> <button id="reset">show all</button></p>
<div id="detail"></div><div id="graph"></div>
<h2>Functions</h2><table id="functions"></table><h2>Lines</h2><table id="lines"></table>
<script>
const data = @DATA@;
let unit = "c", focus = data.tree, word = "";
const get = id => document.getElementById(id), number = value => value.toLocaleString("en");
document.querySelector("h1").textContent = "Profile of " + data.name;
get("summary").textContent = number(data.cycles) + " cycles, " + number(data.cells) + " committed cells, of which " +
  number(data.charged) + " are charged to instructions and calls; the rest is fixed tables and padding.";
function sum(node) { /* own and called, of both units, once */
  node.t = { c: node.c, y: node.y };
  for (const child of node.k) { sum(child); node.t.c += child.t.c; node.t.y += child.t.y; }
}
sum(data.tree);
const total = node => node.t[unit];
function color(name) {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + letter.charCodeAt(0)) >>> 0;
  return "hsl(" + (10 + hash % 45) + " 85% " + (62 + hash % 14) + "%)";
}
function draw() {
  const graph = get("graph"), all = total(data.tree) || 1, whole = total(focus) || 1;
  graph.replaceChildren();
  let depth = 0;
  function place(node, left, level) {
    const own = total(node), width = 100 * own / whole;
    if (width < 0.05) return;
    depth = Math.max(depth, level);
    const box = document.createElement("div");
    box.style.cssText = "left:" + left + "%;width:" + width + "%;top:" + 19 * level + "px;background:" +
      (word && node.n.includes(word) ? "#8ad" : color(node.n));
    box.textContent = node.n;
    box.onclick = () => { focus = node; draw(); };
    box.onmouseenter = () => { get("detail").textContent = node.n + ": " + number(own) + " with what it calls (" +
      (100 * own / all).toFixed(2) + " %), " + number(node[unit]) + " itself"; };
    graph.append(box);
    let at = left;
    for (const child of [...node.k].sort((a, b) => total(b) - total(a))) {
      place(child, at, level + 1);
      at += 100 * total(child) / whole;
    }
  }
  place(focus, 0, 0);
  graph.style.height = 19 * (depth + 1) + "px";
}
function table(id, head, rows) {
  for (const [cell, row] of [["th", head], ...rows.map(row => ["td", row])]) {
    const line = get(id).insertRow();
    for (const value of row) {
      const item = document.createElement(cell);
      item.textContent = typeof value === "number" ? number(value) : value;
      line.append(item);
    }
  }
}
table("functions", ["function", "cells", "cycles", "cells with calls", "cycles with calls"], data.functions);
table("lines", ["line", "cells", "cycles"], data.lines);
for (const radio of document.querySelectorAll("[name=unit]")) radio.onchange = () => { unit = radio.value; draw(); };
get("search").oninput = event => { word = event.target.value; draw(); };
get("reset").onclick = () => { focus = data.tree; draw(); };
draw();
</script></body></html>
"""
