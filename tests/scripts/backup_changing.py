#!/usr/bin/env python3
"""Files that change, vanish or cannot be read while a backup runs.

The backup is stopped at random moments; meanwhile files are rewritten with
their old time and size, grow, go or become something else.  It must end with
code 0, or 3 with each path named once and the snapshot marked incomplete; and
the next one, in quiet, must find everything: it restores to the tree.  Hard
links are there because their content is read under another name, earlier.

usage: backup_changing.py [SEED [ROUNDS]]
"""
# timeout: 240
# goals: check check-asan check-tsan

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

WHERRY = os.environ["WHERRY"]
TREESUM = os.path.join(os.environ["TOOLS"], "treesum")
SLOW = int(os.environ.get("SLOW", "1"))
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1 << 32)
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
os.environ["WHERRY_PASSWORD"] = "changing"
os.environ["WHERRY_REPOSITORY"] = os.path.abspath("repo")
rng = random.Random(SEED)


def fail(what):
    print(f"seed {SEED}: {what}")
    sys.exit(1)


def start(*args, before=()):
    return subprocess.Popen([*before, WHERRY, *args], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace")


def finish(p, codes=(0,)):
    out = p.communicate(timeout=100 * SLOW)[0]
    if p.returncode not in codes:
        fail(f"{p.args}: exit code {p.returncode}\n{out[-3000:]}")
    return out


def wherry(*args):
    return finish(start(*args))


def results(p, codes):
    """The summary of a backup, and the paths of its problems."""
    lines = [json.loads(x) for x in finish(p, codes).splitlines() if x[:1] == "{"]
    paths = [x["path"] for x in lines if x["message_type"] == "problem"]
    summary = lines[-1]
    if len(set(paths)) != len(paths):
        fail(f"named more than once: {sorted(paths)}")
    if summary["errors"] != len(paths) or summary["incomplete"] != bool(paths):
        fail(f"{paths} named, but {summary}")
    if p.returncode != (3 if paths else 0):
        fail(f"{len(paths)} paths named, exit code {p.returncode}")
    return summary, paths


def treesum(path):
    return subprocess.run([TREESUM, "-v", path], stdout=subprocess.PIPE,
                          check=True).stdout.splitlines()


def same(snapshot):
    wherry("restore", "-q", snapshot, "--target", "out")
    want, got = treesum("tree"), treesum("out")
    if want != got:
        fail("restored otherwise:\n" + "\n".join(
            [f"- {x!r}" for x in want if x not in set(got)][:20] +
            [f"+ {x!r}" for x in got if x not in set(want)][:20]))
    shutil.rmtree("out")


def make():
    for d in range(12):
        os.makedirs(f"tree/{d}")
        for i in range(120):
            with open(f"tree/{d}/{i}", "wb") as f:
                f.write(rng.randbytes(rng.choice((5, 250, 260, 9000, 60000, 140000))))
    for i in range(400):
        os.link(f"tree/{i % 12}/{i // 12}", f"tree/{rng.randrange(12)}/link{i}")
    with open("tree/big", "wb") as f:
        f.write(rng.randbytes(20 << 20))


def disturb():
    files = [f"tree/{d}/{i}" for d in range(12) for i in range(120)]
    for p in rng.sample(files, 150) + ["tree/big"]:
        if not os.path.isfile(p):
            continue
        what = rng.choice(("same", "same", "same", "grow", "cut", "go", "fifo", "dir"))
        st = os.stat(p)
        if what == "same":
            with open(p, "r+b") as f:
                f.write(rng.randbytes(min(st.st_size, 50)))
            os.utime(p, ns=(st.st_atime_ns, st.st_mtime_ns))
        elif what == "grow":
            with open(p, "ab") as f:
                f.write(rng.randbytes(300))
        elif what == "cut":
            os.truncate(p, st.st_size // 2)
        elif p != "tree/big":
            os.unlink(p)
            if what == "fifo":
                os.mkfifo(p)
            elif what == "dir":
                os.mkdir(p)


def change_while_it_runs():
    """Return how many paths were named."""
    # Little memory, so that it does not look at everything beforehand.
    p = start("backup", "--json", "--cpus", str(rng.randint(1, 3)), "--memory", "128M",
              *rng.choice(((), ("--parent", "none"))), "tree")
    time.sleep(rng.uniform(0.05, 0.5 * SLOW))
    p.send_signal(signal.SIGSTOP)
    disturb()
    # Old enough to be carried over, were it not for what was seen before.
    time.sleep(2.1)
    p.send_signal(signal.SIGCONT)
    return len(results(p, (0, 3))[1])


def unreadable():
    """Root without its right to read everything is like any user."""
    tool = shutil.which("setpriv")
    if tool is None or os.geteuid() != 0:
        print("not tried: files that may not be read (needs root and setpriv)")
        return
    os.makedirs("tree/closed/below")
    for p in ("tree/secret", "tree/closed/file"):
        with open(p, "wb") as f:
            f.write(b"x" * 5000)
    os.chmod("tree/secret", 0)
    os.chmod("tree/closed", 0)
    time.sleep(2.1)
    drop = (tool, "--bounding-set", "-dac_override,-dac_read_search",
            "--inh-caps", "-dac_override,-dac_read_search")
    summary, paths = results(start("backup", "--json", "tree", before=drop), (3,))
    if sorted(os.path.basename(p) for p in paths) != ["closed", "secret"]:
        fail(f"named as not readable: {paths}")
    # Nothing has changed but who reads.
    summary, paths = results(start("backup", "--json", "tree"), (0,))
    # The one whose name was seen looks the same, and is read for that it was not.
    if (summary["files_reread"], summary["files_new"]) != (1, 1):
        fail(f"what could not be read before: {summary}")
    same(summary["snapshot_id"])


def main():
    print(f"seed {SEED}")
    wherry("init", "-q")
    make()
    time.sleep(2.1)
    named = 0
    for _ in range(ROUNDS):
        named += change_while_it_runs()
        same(results(start("backup", "--json", "tree"), (0,))[0]["snapshot_id"])
        shutil.rmtree("tree")
        make()
        time.sleep(2.1)
    unreadable()
    wherry("check", "--read-data")
    print(f"{named} paths changed under the backup's hands")


main()
