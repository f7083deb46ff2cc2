#!/usr/bin/env python3
"""Results of cases that were measured one after another on one machine, each
by `run.sh --case ... --json FILE`, become one, kept in bench/results with its
line in the history.

usage: join.py RESULT.json...
"""

import json
import os
import sys

import report


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip().splitlines()[-1])
    whole = None
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as f:
            one = json.load(f)
        if whole is None:
            whole = one
            continue
        if one["machine"] != whole["machine"] or one["quick"] or one["large"]:
            sys.exit("join.py: %s: of another machine or kind" % path)
        if set(one["cases"]) & set(whole["cases"]):
            sys.exit("join.py: %s: a case comes twice" % path)
        whole["cases"].update(one["cases"])
        whole["rows"] += one["rows"]
        whole["programs"] += [p for p in one["programs"]
                              if p not in whole["programs"]]
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                          "results")
    print(os.path.relpath(report.save(whole, folder)))


if __name__ == "__main__":
    main()
