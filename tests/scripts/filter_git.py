#!/usr/bin/env python3
"""What --exclude-file leaves out is what git leaves out by the same file, for
patterns drawn at random.  ROUNDS (60) and SEED (1) may be given.
"""
# timeout: 180

import json
import os
import random
import shutil
import subprocess
import sys

WHERRY = os.environ["WHERRY"]
seed = int(os.environ.get("SEED", "1"))
rng = random.Random(seed)
PIECES = ["a", "b", "ab", "*", "?", "**", "/", "/", "**/", "/**", "[ab]", "[!a]",
          "[a-c]", "\\a", "\\*", "c", "x.o", "*.o", "[[:alpha:]]", " ", "!", "#",
          "[", "]", "-", "[]a]", "\\ ", "[^b-]"]
NAMES = ["a", "b", "ab", "c", "x.o", "aa", "*", "a b", "-", "!a", "#a", "[a", "B"]


def run(*argv, ok=(0,), **how):
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=60, **how)
    if p.returncode not in ok:
        print("FAIL:", argv, p.returncode, p.stderr.decode(errors="replace"))
        sys.exit(1)
    return p.stdout


def make_tree():
    for a in NAMES:
        if rng.random() < .5:
            open("tree/" + a, "w").close()
            continue
        for b in NAMES:
            p = "tree/%s/%s" % (a, b)
            if rng.random() < .6:
                os.makedirs(os.path.dirname(p), exist_ok=True)
                open(p, "w").close()
            elif rng.random() < .6:
                os.makedirs(p)
                for c in rng.sample(NAMES, 4):
                    open(p + "/" + c, "w").close()


def by_git():
    out = run("git", "-C", "tree", "ls-files", "-z", "--others",
              "--exclude-from=" + os.path.abspath("patterns"))
    return {p for p in out.decode().split("\0") if p}


def by_wherry():
    out = run(WHERRY, "backup", "-q", "-k", "key", "tree", "--json", "--parent",
              "none", "--exclude-file", "patterns", "--exclude", "/.git")
    snapshot = json.loads(out.splitlines()[-1])["snapshot_id"]
    out = run(WHERRY, "ls", "-R", "--json", "-k", "key", snapshot)
    return {o["path"] for o in map(json.loads, out.splitlines())
            if o["type"] == "file"}


def main():
    if shutil.which("git") is None:
        print("no git")
        sys.exit(77)
    os.environ["WHERRY_REPOSITORY"] = os.path.abspath("repo")
    with open("pass", "w") as f:
        f.write("x\n")
    run(WHERRY, "init", "-q", "-p", "pass")
    run(WHERRY, "key", "add", "-q", "-p", "pass", "--write", "--read",
        "--new-key-file", "key")
    os.mkdir("tree")
    run("git", "init", "-q", "tree")
    run("git", "-C", "tree", "config", "core.excludesFile", "/dev/null")
    make_tree()
    failed = 0
    for i in range(int(os.environ.get("ROUNDS", "60"))):
        lines = []
        while len(lines) < rng.randrange(1, 4):
            line = "".join(rng.choice(PIECES)
                           for _ in range(rng.randrange(1, 6)))
            if line.strip(" ").strip("!/") and "//" not in line and \
                    not line.startswith("!!") and line.strip("!") != "":
                lines.append(line)
        with open("patterns", "w") as f:
            f.write("\n".join(lines) + "\n")
        a, b = by_git(), by_wherry()
        if a != b:
            failed += 1
            print("FAIL:", lines, "git alone:", sorted(a - b)[:5],
                  "wherry alone:", sorted(b - a)[:5])
    print("seed", seed)
    sys.exit(1 if failed else 0)


main()
