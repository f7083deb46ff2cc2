#!/usr/bin/env python3
"""Results drawn: one SVG of bars, a block for each case and step.

usage: chart.py RESULT.json OUT.svg
"""

import json
import sys
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 760, 130, 210
BAR, GAP = 15, 5
OURS, THEIRS, BOUND = "#1f6f8b", "#b9c4c9", "#d1495b"


def seconds(x):
    return "%.2f s" % x if x < 10 else "%.1f s" % x


def blocks(result):
    """(case, step, rows, the fastest first) in the order of the result."""
    rows = [r for r in result["rows"] if r["ok"]]
    for case in dict.fromkeys(r["case"] for r in rows):
        mine = [r for r in rows if r["case"] == case]
        for step in dict.fromkeys(r["step"] for r in mine):
            here = [r for r in mine if r["step"] == step]
            if any(r["peer"] for r in here):
                yield case, step, sorted(here, key=lambda r: r["wall_seconds"])


def text(out, x, y, words, size=12, anchor="start", weight="normal"):
    out.append('<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s" '
               'font-weight="%s">%s</text>' % (
                   x, y, size, anchor, weight, escape(words)))


def block(out, y, step, rows):
    """Bars of one step; return where the next one begins."""
    span = WIDTH - LEFT - RIGHT
    longest = max(r["wall_seconds"] for r in rows)
    text(out, 0, y + 12, step, 12, weight="bold")
    y += 20
    for r in rows:
        long = max(1.0, span * r["wall_seconds"] / longest)
        out.append('<rect x="%d" y="%d" width="%.1f" height="%d" '
                   'fill="%s"/>' % (LEFT, y, long, BAR,
                                    THEIRS if r["peer"] else OURS))
        if r.get("bound"):
            at = LEFT + span * r["bound"]["seconds"] / longest
            out.append('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" '
                       'stroke="%s" stroke-width="2"/>' % (
                           at, at, y - 2, y + BAR + 2, BOUND))
        text(out, LEFT - 6, y + 12, r["program"], 12, "end")
        words = seconds(r["wall_seconds"]) + ", %.0f MiB" % r["rss_mib"]
        if r["stored_bytes"] and r["stored_bytes"] > 1e7:
            words += ", %.0f MB stored" % (r["stored_bytes"] / 1e6)
        text(out, LEFT + long + 6, y + 12, words)
        y += BAR + GAP
    return y + 8


def chart(result):
    out, y, last = [], 20, None
    for case, step, rows in blocks(result):
        if case != last:
            y += 14 if last else 0
            text(out, 0, y + 4, result["cases"][case]["about"], 14,
                 weight="bold")
            y += 16
        last = case
        y = block(out, y, step, rows)
    m = result["machine"]
    text(out, 0, y + 8, "Shorter is better. Red: what this machine allows. %s, "
         "%d cores of %s, peak memory in MiB." % (
             result["date"], m["cores"], m["cpu"]), 11)
    head = ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
            'viewBox="-10 0 %d %d" font-family="sans-serif">' % (
                WIDTH + 20, y + 20, WIDTH + 20, y + 20))
    return "\n".join([head, '<rect x="-10" width="100%" height="100%" fill="white"/>',
                      *out, "</svg>"]) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip().splitlines()[-1])
    with open(sys.argv[1], encoding="utf-8") as f:
        result = json.load(f)
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        f.write(chart(result))


if __name__ == "__main__":
    main()
