#!/usr/bin/env python3
"""Incremental backups against full ones, on a tree that a seeded mutator
changes.

usage: incremental_model.py [SEED [ROUNDS]]

Each round changes the tree, backs it up as an increment of the round before
and, as another volume, without a parent.  Both must be the same snapshot, by
diff, and the increment must restore to the tree, by treesum.  Some rounds
follow at once, so that files are too young to be carried over; in others they
have come of age.  The seed is printed; with it the same changes are made.
"""
# timeout: 300
# goals: check check-asan check-tsan

import json
import os
import random
import shutil
import subprocess
import sys
import time

WHERRY = os.environ["WHERRY"]
TREESUM = os.path.join(os.environ["TOOLS"], "treesum")
SLOW = int(os.environ.get("SLOW", "1"))
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1 << 32)
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
SECONDS = 100 if len(sys.argv) < 3 else 100000
os.environ["WHERRY_PASSWORD"] = "model"
os.environ["WHERRY_REPOSITORY"] = os.path.abspath("repo")

rng = random.Random(SEED)
log = []


def fail(what):
    print(f"seed {SEED}, after:")
    for line in log[-60:]:
        print(" ", line)
    print(what)
    sys.exit(1)


def wherry(*args):
    r = subprocess.run([WHERRY, *args], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, errors="replace",
                       timeout=60 * SLOW)
    if r.returncode != 0:
        fail(f"wherry {' '.join(args)}: exit code {r.returncode}\n{r.stdout[-4000:]}")
    return r.stdout


# --- changes --------------------------------------------------------------------

def walk():
    """All paths below the tree: directories, and the others."""
    dirs, others = ["tree"], []
    for d, ds, fs in os.walk("tree"):
        for x in ds + fs:
            p = os.path.join(d, x)
            if os.path.isdir(p) and not os.path.islink(p):
                dirs.append(p)
            else:
                others.append(p)
    return sorted(dirs), sorted(others)


def name():
    kind = rng.random()
    if kind < 0.05:
        return "n" * rng.randint(100, 250)
    if kind < 0.1:
        return "".join(rng.choice("äß\n\\ *?") for _ in range(rng.randint(1, 9)))
    return f"{rng.choice('abcdefgh')}{rng.randrange(400)}"


def data():
    kind = rng.random()
    n = (rng.randint(0, 300) if kind < 0.3 else
         rng.randint(300, 20000) if kind < 0.85 else
         rng.randint(20000, 400000) if kind < 0.98 else
         rng.randint(4 << 20, 9 << 20))
    return (rng.randbytes(min(n, 50000)) * (n // 50000 + 1))[:n]


def fresh(dirs):
    """A path that does not exist."""
    while True:
        p = os.path.join(rng.choice(dirs), name())
        if not os.path.lexists(p) and len(p) < 3000:
            return p


def write(p):
    with open(p, "wb") as f:
        f.write(data())


def remove(p):
    if os.path.isdir(p) and not os.path.islink(p):
        shutil.rmtree(p)
    else:
        os.unlink(p)


def regular(others):
    return [p for p in others if os.path.isfile(p) and not os.path.islink(p)]


def overwrite(p):
    """The same size, and the time as before: only ctime tells."""
    st = os.stat(p)
    with open(p, "r+b") as f:
        f.seek(rng.randrange(max(1, st.st_size)))
        f.write(rng.randbytes(min(9, max(0, st.st_size - f.tell()))))
    os.utime(p, ns=(st.st_atime_ns, st.st_mtime_ns))


def resize(p):
    with open(p, "r+b") as f:
        f.truncate(rng.choice((0, 1, 200, 257, 5000, 127000, 131072, 500000)))


def special(p):
    kind = rng.randrange(3)
    if kind == 0:
        os.mkfifo(p)
    elif kind == 1:
        os.symlink(rng.choice(("nowhere", "/", "x" * 300)), p)
    else:
        os.mkdir(p)


def deep(p):
    for _ in range(rng.randint(2, 40)):
        p = os.path.join(p, rng.choice("xyz"))
    if len(p) < 3000:
        os.makedirs(p, exist_ok=True)
        write(os.path.join(p, "f"))


def change_once():
    dirs, others = walk()
    files = regular(others)
    inner = dirs[1:]
    what = rng.choice((
        "create", "create", "create", "delete", "delete", "overwrite",
        "overwrite", "resize", "rename", "rename_dir", "link", "link", "type",
        "meta", "touch", "mkdir", "deep", "rmdir", "copy", "many", "thin",
        "replace", "sparse"))
    at = ""
    if what == "create":
        write(at := fresh(dirs))
    elif what == "mkdir":
        os.mkdir(at := fresh(dirs))
    elif what == "deep":
        deep(at := rng.choice(dirs))
    elif what == "many":
        os.mkdir(at := fresh(dirs))
        for i in range(rng.randint(20, 200)):
            with open(f"{at}/{i}", "wb") as f:
                f.write(rng.randbytes(rng.randint(200, 3000)))
    elif what == "sparse":
        with open(at := fresh(dirs), "wb") as f:
            f.truncate(rng.randint(100000, 9000000))
            f.seek(rng.randrange(90000))
            f.write(b"here")
    elif what == "rmdir" and inner:
        remove(at := rng.choice(inner))
    elif what == "thin":
        for p in files:
            if rng.random() < 0.3:
                os.unlink(p)
    elif what == "rename_dir" and inner:
        at = rng.choice(inner)
        to = fresh([d for d in dirs if d != at and not d.startswith(at + "/")])
        os.rename(at, to)
    elif what == "copy" and inner and len(others) < 1200:
        at = rng.choice(inner)
        subprocess.run(["cp", "-a", at, fresh([d for d in dirs if not
                       (d + "/").startswith(at + "/")])], check=True)
    elif what == "replace" and inner:
        # Another directory of the same name.
        remove(at := rng.choice(inner))
        os.mkdir(at)
        for _ in range(rng.randint(0, 9)):
            write(os.path.join(at, name()))
    elif what == "delete" and others:
        remove(at := rng.choice(others))
    elif what == "rename" and others:
        at = rng.choice(others)
        os.rename(at, rng.choice((fresh(dirs), rng.choice(others))))
    elif what == "type" and others:
        remove(at := rng.choice(others))
        special(at)
    elif files:
        at = rng.choice(files)
        if what == "overwrite":
            overwrite(at)
        elif what == "resize":
            resize(at)
        elif what == "link":
            os.link(at, fresh(dirs))
        elif what == "touch":
            os.utime(at, ns=(rng.randrange(1 << 62), rng.randrange(1 << 62)))
        elif what == "meta":
            os.chmod(rng.choice(dirs + [at]), rng.choice((0o700, 0o755, 0o4711)))
    log.append(f"{what} {at!r}")


def change(number):
    if number == 9:
        log.append("everything is deleted")
        for x in os.listdir("tree"):
            remove(os.path.join("tree", x))
        return
    if number == 14:
        log.append("another root")
        shutil.rmtree("tree")
        os.mkdir("tree")
    for _ in range(rng.choice((0, 1, 1, 2, 5, 20, 60))):
        change_once()
    if number in (0, 10, 14):
        for _ in range(120):
            change_once()


# --- rounds -----------------------------------------------------------------------

def backup(*args):
    out = wherry("backup", "--json", "--cpus", str(rng.randint(1, 4)), "--io",
                 rng.choice(("auto", "threads")), "--memory",
                 rng.choice(("128M", "512M")), *args, "tree")
    return json.loads(out.splitlines()[-1])


def treesum(path):
    return subprocess.run([TREESUM, "-v", path], stdout=subprocess.PIPE, check=True,
                          timeout=60 * SLOW).stdout.splitlines()


def check_round(number):
    inc = backup("--volume", "increments")
    if (number > 0) != (inc["way"] == "incremental"):
        fail(f"round {number}: the backup was {inc['way']}")
    full = backup("--volume", "fulls", "--parent", "none")
    found = wherry("diff", "--json", inc["snapshot_id"], full["snapshot_id"])
    if len(found.splitlines()) > 1:
        fail(f"round {number}: increment and full backup differ:\n{found[:4000]}")
    wherry("restore", "-q", inc["snapshot_id"], "--target", "out")
    want, got = treesum("tree"), treesum("out")
    if want != got:
        lines = [f"- {x!r}" for x in want if x not in set(got)]
        lines += [f"+ {x!r}" for x in got if x not in set(want)]
        fail(f"round {number}: restored otherwise:\n" + "\n".join(lines[:40]))
    shutil.rmtree("out")
    return inc


def main():
    end = time.monotonic() + SECONDS
    same = 0
    print(f"seed {SEED}")
    os.mkdir("tree")
    wherry("init", "-q")
    for number in range(ROUNDS):
        log.append(f"--- round {number}")
        change(number)
        if rng.random() < 0.4:
            time.sleep(2.1)
        same += check_round(number)["files_unmodified"]
        if time.monotonic() > end and number >= 3:
            break
    wherry("check", "--read-data")
    print(f"{number + 1} rounds, {same} files carried over")
    if same == 0 and number > 8:
        fail("nothing was ever carried over")


main()
