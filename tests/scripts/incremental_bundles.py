#!/usr/bin/env python3
"""Bundles of small files stay compact: what is left of one that is less than
half used is read again and bundled anew, once; what is more than half used is
not touched.  Seen from outside by what each backup reads.
"""
# timeout: 180
# goals: check check-asan check-tsan

import json
import os
import random
import subprocess
import sys
import time

WHERRY = os.environ["WHERRY"]
os.environ["WHERRY_PASSWORD"] = "bundles"
os.environ["WHERRY_REPOSITORY"] = os.path.abspath("repo")


def wherry(*args):
    r = subprocess.run([WHERRY, *args], stdout=subprocess.PIPE, text=True, timeout=120)
    if r.returncode != 0:
        sys.exit(f"wherry {' '.join(args)}: exit code {r.returncode}")
    return r.stdout


def backup(*args):
    out = wherry("backup", "--json", *args, "tree")
    return json.loads(out.splitlines()[-1])


def files():
    return sorted(os.path.join(d, f) for d, _, fs in os.walk("tree") for f in fs)


def size(paths):
    return sum(os.stat(p).st_size for p in paths)


def rest():
    """Let what was written become old enough to be carried over."""
    time.sleep(2.2)


def expect(what, got, want, slack=0.0):
    if abs(got - want) > slack * want:
        sys.exit(f"{what}: {got}, and {want} was expected")
    print(f"{what}: {got}")


def same_as_full():
    a = backup()["snapshot_id"]
    b = backup("--parent", "none")["snapshot_id"]
    found = wherry("diff", "--json", a, b).splitlines()[:-1]
    if found:
        sys.exit("a full backup found something else:\n" + "\n".join(found[:9]))


rng = random.Random(4)
wherry("init", "-q")
for d in range(10):
    os.makedirs(f"tree/{d}")
    for i in range(100):
        with open(f"tree/{d}/{i}", "wb") as f:
            f.write(rng.randbytes(2000 + 37 * i))
rest()
backup()
expect("nothing changed", backup()["read_bytes"], 0)

for p in rng.sample(files(), 200):
    os.unlink(p)
# The last bundle may be a short one.
read = backup()["read_bytes"]
if read > size(files()) / 8:
    sys.exit(f"a fifth is deleted: {read} bytes are read again")

for p in rng.sample(files(), 500):
    os.unlink(p)
live = size(files())
r = backup()
# A bundle may by chance be half used still.
expect("most of the rest is deleted", r["read_bytes"], live, 0.25)
expect("its files did not change", r["files_unmodified"], 300)
expect("they are bundled anew", r["new_bytes"], live, 0.25)
expect("but once", backup()["read_bytes"], 0)

# Rewritten files leave holes as well; they make bundles of their own.
again = rng.sample(files(), 210)
for p in again:
    with open(p, "r+b") as f:
        f.write(rng.randbytes(100))
rest()
live = size(files())
expect("most of that is rewritten", backup()["read_bytes"], live, 0.25)
expect("and that once", backup()["read_bytes"], 0)
same_as_full()

for p in files():
    if not p.endswith("0"):
        os.unlink(p)
backup()
same_as_full()

# Equal files use one slice, wherever they are: they do not count as a bundle
# of which little is used.
for d in ("a", "b", "c"):
    os.makedirs(f"tree/{d}")
for i in range(300):
    content = rng.randbytes(3000 + 11 * i)
    for d in ("a", "b", "c"):
        with open(f"tree/{d}/{rng.random()}", "wb") as f:
            f.write(content)
rest()
backup()
expect("copies are carried over", backup()["read_bytes"], 0)
wherry("check", "--read-data")
