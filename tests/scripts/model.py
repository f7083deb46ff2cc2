#!/usr/bin/env python3
"""The model of commit and collection (tests/model): every search that must be
safe is, and every mutant is rejected.

usage: model.py [NAME...]

Each line of tests/model/searches is one exact search by Spin.  MODEL=soak
takes the long ones, too.  With names only those run; the trace of a violation
is then printed.  MODEL_MEMORY is the most MB that one search may take, JOBS
how many run at once.
"""
# timeout: 900

import collections
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

SRC = os.environ.get("SRC") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
MODEL = os.path.join(SRC, "tests/model")
SOAK = os.environ.get("MODEL") == "soak"
MEMORY = int(os.environ.get("MODEL_MEMORY", "12000" if SOAK else "3500"))
JOBS = int(os.environ.get("JOBS", "1" if SOAK else "2"))
LIMIT = 7200 if SOAK else 600

Search = collections.namedtuple("Search", "name want who flags depth")
Result = collections.namedtuple("Result", "name got steps states memory seconds text")


def searches():
    with open(os.path.join(MODEL, "searches"), encoding="ascii") as f:
        for line in f:
            words = line.split("#")[0].split()
            if words:
                yield Search(words[0], words[1], words[2],
                             ["-D" + w for w in words[3:] if w != "DEPTH"],
                             "DEPTH" in words)


def run(args, where, limit):
    return subprocess.run(args, cwd=where, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=limit, check=False)


def search(s, where):
    """One search: breadth first, so that the violation found is a shortest one,
    or depth first."""
    start = time.time()
    os.mkdir(where)
    for f in os.listdir(MODEL):
        if f.endswith(".pml"):
            shutil.copy(os.path.join(MODEL, f), where)

    def result(got, text, steps=0, states=0, memory=0):
        return Result(s.name, got, steps, states, memory, time.time() - start, text)

    r = run(["spin", *s.flags, "-a", "protocol.pml"], where, 120)
    if r.returncode != 0 or "rror:" in r.stdout:
        return result("unreadable", r.stdout)
    r = run(["gcc", "-O1" if s.want == "broken" else "-O2", "-w", "-DSAFETY",
             *([] if s.depth else ["-DBFS"]), "-DVECTORSZ=512", f"-DMEMLIM={MEMORY}", "-o", "pan", "pan.c"], where, 300)
    if r.returncode != 0:
        return result("uncompiled", r.stdout)
    # -E: who has come to its end may block; -n: no list of unreached lines.
    r = run(["./pan", "-E", "-n", "-m200000", "-w22"], where, LIMIT)
    found = re.search(r"([0-9.e+]+) states, stored", r.stdout)
    states = int(float(found.group(1))) if found else 0
    found = re.search(r"([0-9.]+)\s+total actual memory", r.stdout)
    memory = int(float(found.group(1))) if found else 0
    if os.path.exists(os.path.join(where, "protocol.pml.trail")):
        if "assertion violated" not in r.stdout:
            return result("stuck", r.stdout, 0, states, memory)
        trace = run(["spin", "-t", *s.flags, "protocol.pml"], where, 120).stdout
        steps = [t.strip() for t in trace.splitlines() if re.match(r"\s+[WCFSMN]\d?: ", t)]
        return result("broken", "\n".join(steps), len(steps), states, memory)
    # A search that was cut short says nothing.
    if not re.search(r"errors: 0\b", r.stdout) or re.search(
            r"not completed|out of memory|bound|aborting|too small|too deep", r.stdout):
        return result("incomplete", r.stdout, 0, states, memory)
    return result("safe", "", 0, states, memory)


def main():
    if shutil.which("spin") is None:
        print("no spin")
        return 77
    names = sys.argv[1:]
    todo = [s for s in searches()
            if (s.name in names if names else SOAK or s.who == "check")]
    if not todo:
        print("no such search")
        return 1
    failed = []
    with tempfile.TemporaryDirectory() as base, \
         concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        jobs = [(s, pool.submit(search, s, os.path.join(base, s.name))) for s in todo]
        for s, job in jobs:
            r = job.result()
            shutil.rmtree(os.path.join(base, s.name), ignore_errors=True)
            print(f"{r.name}: {r.got}, {r.states} states, {r.memory} MB, {r.seconds:.1f} s"
                  + (f", {r.steps} steps" if r.steps else ""), flush=True)
            if r.got != s.want:
                failed.append(s.name)
                print(f"{s.name}: should be {s.want}")
            if r.got != s.want or names:
                print(r.text[-4000:])
    if not names and not {f"r{n}" for n in range(1, 13)} <= \
       {s.name.split("-")[0] for s in todo if s.want == "broken"}:
        failed.append("a rule has no mutant")
    print(f"{len(todo)} searches; " + (f"FAILED: {' '.join(failed)}" if failed else "all as expected"))
    return 1 if failed else 0


sys.exit(main())
