#!/usr/bin/env python3
"""A power cut at any moment of a local repository's life. What the program
did to its files is recorded (preload/record.c); for each step the states are
built that a cut there may leave, and in each of them all that was reported as
saved must be there, whole, and a next backup must work.

A cut keeps what was synced: a file's bytes by fsync of the file, names by
fsync of their directory. What came later may have reached the disk or not:
each name and each 4 KiB of data for itself. A rename is one step.

Two runs of the same with syncs left out of the record must find losses: they
show that the states are as bad as they should be.
"""
# timeout: 300
# SEED (1), CHANCES (2: random states a step) and BACKUPS (3) may be given.

import copy
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys

WHERRY = os.environ["WHERRY"]
SRC = os.environ["SRC"]
SEED = int(os.environ.get("SEED", "1"))
CHANCES = int(os.environ.get("CHANCES", "2"))
BACKUPS = int(os.environ.get("BACKUPS", "3"))
PAGE = 4096
HERE = os.getcwd()
KEY = os.path.join(HERE, "key")
LOG = os.path.join(HERE, "log")
DATA = os.path.join(HERE, "data")
REPO = os.path.join(HERE, "repo")
failures = 0


def fail(text):
    global failures
    failures += 1
    print("FAIL:", text)


def wherry(*args, repo=REPO, record=False, secret=("-k", KEY), codes=(0,)):
    """Run a verb; its output.  Raises Unwell for another exit code."""
    env = dict(os.environ)
    # What a machine saw in one state is no reason to warn in another.
    env["XDG_CACHE_HOME"] = os.path.abspath("cache")
    shutil.rmtree("cache", ignore_errors=True)
    if record:
        env.update(LD_PRELOAD=os.path.join(HERE, "record.so"), RECORD_LOG=LOG,
                   RECORD_DATA=DATA, RECORD_AT=REPO)
    verb = args[:2] if args[0] == "key" else args[:1]
    p = subprocess.run([WHERRY, *verb, "-r", repo, *secret, *args[len(verb):]],
                       env=env, capture_output=True, timeout=60,
                       stdin=subprocess.DEVNULL)
    if p.returncode not in codes:
        raise Unwell("%s: exit %d: %s" % (
            args[0], p.returncode, p.stderr.decode(errors="replace")[-900:]))
    return p.stdout.decode()


class Unwell(Exception):
    pass


# --- what was recorded ---------------------------------------------------------


class File:
    def __init__(self, content=b""):
        self.kept = bytearray(content)  # what a cut cannot take
        self.pending = []               # (offset, bytes)
        self.cut = None                 # a length set since


class Directory:
    def __init__(self):
        self.kept = {}                  # name: inode
        self.pending = []               # steps, in order


class Disk:
    """Files and directories, with what a sync has made sure of.

    A number of an inode comes again when its file has gone: `made` tells which
    of our nodes has it now.
    """

    def __init__(self, path):
        self.nodes = {}
        self.made = {}
        self.root = os.stat(path).st_ino
        self.load(path)

    def load(self, path):
        d = Directory()
        for e in os.scandir(path):
            d.kept[e.name] = e.inode()
            if e.is_dir(follow_symlinks=False):
                self.load(e.path)
            else:
                with open(e.path, "rb") as f:
                    self.nodes[e.inode()] = File(f.read())
        self.nodes[os.stat(path).st_ino] = d

    def node(self, inode):
        return self.made.get(int(inode), int(inode))

    def new(self, inode, node):
        self.made[int(inode)] = key = -1 - len(self.nodes)
        self.nodes[key] = node
        return key

    def step(self, words, syncs):
        what, rest = words[0], words[1:]
        if what == "create":
            self.new(rest[0], File())
        elif what in ("make", "link", "mkdir"):
            parent, name = self.node(rest[0]), rest[1]
            inode = (self.node(rest[2]) if what == "link" else self.new(
                rest[2], File() if what == "make" else Directory()))
            self.nodes[parent].pending.append({"put": (parent, name, inode)})
        elif what == "remove":
            parent, name = self.node(rest[0]), rest[1]
            self.nodes[parent].pending.append({"gone": (parent, name)})
        elif what == "rename":
            a, old = self.node(rest[0]), rest[1]
            b, new = self.node(rest[2]), rest[3]
            inode = self.names(a, everything)[old]
            one = {"gone": (a, old), "put": (b, new, inode)}
            self.nodes[a].pending.append(one)
            if b != a:
                self.nodes[b].pending.append(one)
        elif what == "write":
            inode = self.node(rest[0])
            offset, length, place = map(int, rest[1:])
            with open(DATA, "rb") as f:
                f.seek(place)
                self.nodes[inode].pending.append((offset, f.read(length)))
        elif what == "cut":
            self.nodes[self.node(rest[0])].cut = int(rest[1])
        elif what == "sync":
            inode = self.node(rest[0])
            if type(self.nodes.get(inode)) in syncs:
                self.sync(inode, self.nodes[inode])

    def sync(self, inode, node):
        if isinstance(node, File):
            node.kept = self.content(node, everything)
            node.pending, node.cut = [], None
            return
        node.kept = self.names(inode, everything)
        steps, node.pending = node.pending, []
        for one in steps:  # a rename is made sure of on both sides
            for side in ("gone", "put"):
                other = self.nodes.get(one[side][0]) if side in one else None
                if other is None or one not in other.pending:
                    continue
                self.apply(other.kept, one, one[side][0])
                other.pending.remove(one)

    @staticmethod
    def apply(names, one, inode):
        if "gone" in one and one["gone"][0] == inode:
            names.pop(one["gone"][1], None)
        if "put" in one and one["put"][0] == inode:
            names[one["put"][1]] = one["put"][2]

    def names(self, inode, chance):
        names = dict(self.nodes[inode].kept)
        for one in self.nodes[inode].pending:
            if chance(id(one)):
                self.apply(names, one, inode)
        return names

    @staticmethod
    def content(node, chance):
        out = bytearray(node.kept)
        for offset, data in node.pending:
            if len(out) < offset + len(data) and chance("size"):
                out.extend(bytes(offset + len(data) - len(out)))
            for at in range(0, len(data), PAGE):
                piece = data[at:at + PAGE]
                if not chance("page"):
                    continue
                end = offset + at + len(piece)
                if len(out) < end:
                    out.extend(bytes(end - len(out)))
                out[offset + at:end] = piece
        if node.cut is not None and chance("cut"):
            del out[node.cut:]
            out.extend(bytes(node.cut - len(out)))
        return out

    def files(self, chance):
        """The files of a state, {path: bytes}, and its directories."""
        found, dirs, todo = {}, [], [("", self.root)]
        while todo:
            path, inode = todo.pop()
            for name, child in sorted(self.names(inode, chance).items()):
                node = self.nodes[child]
                where = os.path.join(path, name)
                if isinstance(node, Directory):
                    dirs.append(where)
                    todo.append((where, child))
                else:
                    found[where] = bytes(self.content(node, chance))
        return found, dirs


def everything(_):
    return True


def nothing(_):
    return False


def some(rng):
    """Half of all; a rename's two sides are asked with one name."""
    known = {}

    def chance(name):
        if isinstance(name, int):
            return known.setdefault(name, rng.random() < 0.5)
        return rng.random() < 0.5
    return chance


# --- states ---------------------------------------------------------------------


def build(files, dirs, where):
    shutil.rmtree(where, ignore_errors=True)
    os.mkdir(where)
    for d in sorted(dirs):
        os.makedirs(os.path.join(where, d), exist_ok=True)
    for path, content in files.items():
        with open(os.path.join(where, path), "wb") as f:
            f.write(content)


def digest(files, dirs):
    h = hashlib.sha256(repr(sorted(dirs)).encode())
    for path in sorted(files):
        h.update(path.encode() + b"\0" + hashlib.sha256(files[path]).digest())
    return h.digest()


def tree(path):
    out = {}
    for at, _, names in os.walk(path):
        for name in names:
            p = os.path.join(at, name)
            with open(p, "rb") as f:
                out[os.path.relpath(p, path)] = hashlib.sha256(f.read()).digest()
    return out


def judge_new(state, _promised, _gone, _again):
    """Is there a whole repository, or none and room for one?"""
    p = ("-p", "pass")
    out = subprocess.run([WHERRY, "check", "-r", state, *p], timeout=60,
                         capture_output=True, stdin=subprocess.DEVNULL)
    if out.returncode == 10:
        wherry("init", "--quiet", repo=state, secret=p)
    elif out.returncode != 0:
        raise Unwell("check: exit %d: %s" % (
            out.returncode, out.stderr.decode(errors="replace")[:600]))
    wherry("backup", "--quiet", "pass", repo=state, secret=p)


def judge(state, promised, gone, again):
    """Is all there that was reported as saved?  Raises Unwell."""
    wherry("check", "--read-data", repo=state)
    listed = {json.loads(x)["id"] for x in
              wherry("snapshots", "--json", repo=state).splitlines()}
    if promised - listed:
        raise Unwell("lost: " + " ".join(sorted(promised - listed)))
    if gone & listed:
        raise Unwell("back again: " + " ".join(sorted(gone & listed)))
    if not again:
        return
    for one in sorted(listed):
        shutil.rmtree("back", ignore_errors=True)
        wherry("restore", one, "--target", "back", repo=state)
        if one in sources and tree("back") != sources[one]:
            raise Unwell("%s restored is not what was saved" % one)
    wherry("backup", "--quiet", "source", repo=state)
    wherry("check", "--read-data", repo=state)


def examine(disk, syncs, title, judge=judge, stop_at=0):
    """All states of the record.  Return how many were seen and were unwell."""
    rng = random.Random(SEED)
    seen, states, unwell = set(), 0, 0
    promised, gone = set(), set()
    with open(LOG, encoding="utf-8") as f:
        steps = [x.split() for x in f]
    for number, words in enumerate(steps):
        if words[0] == "saved":
            promised.add(words[1])
        elif words[0] == "forgetting":
            promised.discard(words[1])
        elif words[0] == "forgotten":
            gone.add(words[1])
        else:
            disk.step(words, syncs)
        for chance in [nothing, everything] + [some(rng)] * CHANCES:
            files, dirs = disk.files(chance)
            key = digest(files, dirs) + repr(sorted(promised)).encode()
            if key in seen:
                continue
            seen.add(key)
            states += 1
            build(files, dirs, "state")
            try:
                judge("state", promised, gone, states % 8 == 0)
            except Unwell as why:
                unwell += 1
                if not stop_at:
                    fail("%s: after step %d (%s): %s" % (
                        title, number + 1, " ".join(words[:3]), why))
                    if unwell >= 3:
                        return states, unwell
                elif unwell >= stop_at:
                    return states, unwell
    return states, unwell


# --- the life that is recorded -------------------------------------------------------


sources = {}


def note(text):
    with open(LOG, "a", encoding="utf-8") as f:
        f.write(text + "\n")


def change(rng, round_no):
    os.makedirs("source/d", exist_ok=True)
    for i in range(4):
        with open("source/d/f%d" % rng.randrange(12), "wb") as f:
            f.write(rng.randbytes(rng.randrange(1, 60000)))
    with open("source/large%d" % (round_no % 2), "wb") as f:
        f.write(rng.randbytes(1300000))


def saved(rng, number):
    change(rng, number)
    out = wherry("backup", "--json", "source", record=True)
    one = json.loads(out.splitlines()[-1])["snapshot_id"]
    note("saved " + one)
    sources[one] = tree("source")
    return one


def live():
    """Backups, and what takes them away again."""
    rng = random.Random(SEED)
    ids = [saved(rng, i) for i in range(BACKUPS)]
    note("forgetting " + ids[0])
    wherry("forget", "--id", ids[0], record=True)
    note("forgotten " + ids[0])
    wherry("gc", record=True)
    wherry("upkeep", "--max-waste=1%", "--check-percent=100%", record=True)
    saved(rng, BACKUPS)
    wherry("key", "rotate", record=True)
    saved(rng, BACKUPS + 1)
    wherry("repair", "--read-data", record=True)


def main():
    subprocess.run(["cc", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", "-o",
                    "record.so", SRC + "/tests/scripts/preload/record.c",
                    "-ldl"], check=True)
    with open("pass", "w", encoding="utf-8") as f:
        f.write("correct horse\n")
    os.mkdir(REPO)
    before = Disk(REPO)
    open(DATA, "wb").close()
    wherry("init", "--quiet", record=True, secret=("-p", "pass"))
    states, _ = examine(before, (File, Directory), "init", judge_new)
    print("init: %d states" % states)
    os.unlink(LOG)
    wherry("key", "add", "--read", "--write", "--admin", "--quiet",
           "--new-key-file", KEY, secret=("-p", "pass"))
    # The inodes of the record are those of the repository itself.
    before = Disk(REPO)
    live()
    states, _ = examine(copy.deepcopy(before), (File, Directory), "all syncs")
    print("seed %d: %d states" % (SEED, states))
    for syncs, title in (((Directory,), "files unsynced"),
                         ((File,), "directories unsynced")):
        _, unwell = examine(copy.deepcopy(before), syncs, title, stop_at=1)
        if unwell == 0:
            fail("%s: nothing was found" % title)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
