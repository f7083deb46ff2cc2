"""The data that is backed up. All of it is made under one folder.

usage: sources.py NAME PATH quick|full

It is a process of its own: what is measured is started by a small one, as a
program's peak of memory counts from that of the process which starts it.
"""

import hashlib
import os
import random
import subprocess
import sys

import measure

BLOCK = 4096
PIECE = 16 << 20

# The part of a running system that tells most about others like it; what
# stands under /usr/local and /usr/src differs too much.
SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libexec", "include",
          "share")


def make_tree(path, quick):
    """A copy of the system's programs, libraries and data."""
    os.makedirs(path)
    parts = ["share/doc", "share/perl5"] if quick else SYSTEM
    for part in parts:
        at = os.path.join("/usr", part)
        if not os.path.isdir(at) or os.path.islink(at):
            continue
        to = os.path.join(path, part)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        subprocess.run(["cp", "-a", "--one-file-system", at, to], check=True)


def make_random(path, quick):
    """One file of bytes that nobody can compress."""
    os.makedirs(path)
    left = 48 << 20 if quick else 4 << 30
    with open(os.path.join(path, "image"), "wb") as f:
        while left > 0:
            f.write(os.urandom(min(left, PIECE)))
            left -= PIECE


def make_nested(path, dirs, files, size, fan=16):
    """Directories in a tree with that fan-out, the files spread over them."""
    os.makedirs(path)
    names = [path]
    while len(names) < dirs:
        i = len(names)
        d = "%s/d%x" % (names[(i - 1) // fan], i)
        os.mkdir(d)
        names.append(d)
    rand = random.Random(dirs)
    for i in range(files):
        p = "%s/f%x" % (names[i % len(names)], i)
        if size == 0:
            os.mknod(p)
            continue
        with open(p, "wb") as f:
            f.write(rand.randbytes(size))


def make_small(path, quick):
    """As many small files and directories as a mail store has."""
    if quick:
        make_nested(path, 1373, 2353, 100)
    else:
        make_nested(path, 137257, 235298, 100)


def make_million(path, quick):
    """One directory with very many entries."""
    os.makedirs(path)
    d = os.path.join(path, "one")
    os.mkdir(d)
    for i in range(10000 if quick else 1000000):
        os.mknod("%s/entry-%d" % (d, i))


def make_five_million(path, quick):
    """Empty files in directories, as many to each as in published tests."""
    if quick:
        make_nested(path, 1800, 3200, 0)
    else:
        make_nested(path, 1800000, 3200000, 0)


class Changes:
    """1 % of an image's blocks are changed by adding a pattern to them; the
    same again takes it back, so every program sees the same bytes."""

    def __init__(self, image, seed):
        self.image = image
        blocks = os.path.getsize(image) // BLOCK
        rand = random.Random(seed)
        self.blocks = sorted(rand.sample(range(blocks), blocks // 100))
        self.pad = int.from_bytes(
            hashlib.shake_128(b"%d" % seed).digest(BLOCK), "little")
        self.applied = False

    def toggle(self):
        with open(self.image, "rb+", buffering=0) as f:
            for b in self.blocks:
                old = os.pread(f.fileno(), BLOCK, b * BLOCK)
                new = int.from_bytes(old, "little") ^ self.pad
                os.pwrite(f.fileno(), new.to_bytes(BLOCK, "little"),
                          b * BLOCK)
        self.applied = not self.applied

    def write_list(self, path):
        """The extents, as `wherry backup --changed` reads them."""
        with open(path, "w", encoding="ascii") as f:
            start = end = None
            for b in self.blocks + [None]:
                if b is not None and b == end:
                    end += 1
                    continue
                if start is not None:
                    f.write("%d %d\n" % (start * BLOCK,
                                         (end - start) * BLOCK))
                if b is not None:
                    start, end = b, b + 1


def make(name, path, quick):
    """Make the data of that name, in another process."""
    r = measure.run([sys.executable, os.path.abspath(__file__), name, path,
                     "quick" if quick else "full"], timeout=7200,
                    log=path + ".log")
    if r.code != 0:
        sys.exit("run.sh: the data %s %s" % (name, r.why()))


def remove(path):
    subprocess.run(["rm", "-rf", path], check=False)


MAKERS = {"tree": make_tree, "random": make_random, "small": make_small,
          "million": make_million, "five-million": make_five_million}

if __name__ == "__main__":
    MAKERS[sys.argv[1]](sys.argv[2], sys.argv[3] == "quick")
