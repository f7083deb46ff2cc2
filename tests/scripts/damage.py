#!/usr/bin/env python3
"""Every object of a small repository is damaged in every way in turn: bytes
flipped at many places, cut off, exchanged for another of its kind, removed.
`check --read-data` names it, and for content the snapshots and paths that lost
something; a restore gives the rest back, ends with a failure, and no file is
wrong without being named.
"""
# timeout: 300
# goals: check check-asan
# PLACES (3) is the number of places where a byte of each object is flipped.

import json
import os
import random
import shutil
import subprocess
import sys

WHERRY = os.environ["WHERRY"]
PLACES = int(os.environ.get("PLACES", "3"))
KEY = os.path.abspath("key")
rng = random.Random(int(os.environ.get("SEED", "4")))
failures = 0


def fail(text):
    global failures
    failures += 1
    print("FAIL:", text)


def wherry(*args, repo="repo"):
    """Run a verb; return its exit code, stdout and stderr."""
    argv = [WHERRY, args[0], "-r", repo, "-k", KEY, *args[1:]]
    try:
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True,
                           timeout=60)
    except subprocess.TimeoutExpired:
        fail("hangs: " + " ".join(args))
        return 124, b"", b""
    if p.returncode < 0 or p.returncode in (66, 86, 99, 134, 139):
        fail(f"{' '.join(args)} crashed ({p.returncode}):\n"
             f"{p.stderr.decode(errors='replace')[-2000:]}")
    return p.returncode, p.stdout, p.stderr


def need(code, *args):
    got, out, err = wherry(*args)
    if got != code:
        fail(f"{' '.join(args)} ended with {got}, not {code}: "
             f"{err.decode(errors='replace')}")
        sys.exit(1)
    return out


def make_source():
    os.makedirs("src/sub/deep")
    for i in range(30):
        with open("src/sub/small%d" % i, "wb") as f:
            f.write(rng.randbytes(rng.randrange(300, 3000)))
    for i in range(3):
        with open("src/tiny%d" % i, "wb") as f:
            f.write(b"tiny %d\n" % i)
    for i in range(4):
        with open("src/sub/deep/large%d" % i, "wb") as f:
            f.write(rng.randbytes(400000 + i))
    os.symlink("tiny0", "src/link")


def files(top):
    """Relative path -> bytes of each regular file."""
    found = {}
    for d, _, names in os.walk(top):
        for n in names:
            p = os.path.join(d, n)
            if not os.path.islink(p):
                with open(p, "rb") as f:
                    found[os.path.relpath(p, top)] = f.read()
    return found


def objects():
    return sorted(os.path.relpath(os.path.join(d, n), "repo")
                  for d, _, names in os.walk("repo") for n in names)


def kind(key):
    """What sort of object it is: those of one sort may be exchanged."""
    part = key.split("/")
    return part[0] + (":" + part[2] if part[0] == "keys" else "")


def write(key, data):
    path = os.path.join("repo", key)
    if os.path.exists(path):
        os.chmod(path, 0o600)
        os.unlink(path)
    if data is not None:
        with open(path, "wb") as f:
            f.write(data)


def damages(key, data, peers):
    """Yield (what, bytes or None) for all that is done to an object."""
    n = len(data)
    spots = {0, 5, 8, 9, 12, n // 2, n - 1, n - 40, n - 70} | \
        {rng.randrange(n) for _ in range(PLACES)}
    for at in sorted(s for s in spots if 0 <= s < n):
        b = bytearray(data)
        b[at] ^= 1 << rng.randrange(8)
        yield f"a bit flipped at {at} of {n}", bytes(b)
    for length in sorted({0, 7, n // 2, n - 1}):
        yield f"cut to {length} of {n}", data[:length]
    yield "made longer", data + b"\0"
    for other in peers[:2]:
        yield f"exchanged for {other}", open(os.path.join("repo", other),
                                             "rb").read()
    yield "removed", None


def told(out):
    return [json.loads(x) for x in out.decode(errors="replace").splitlines()]


# Of these nobody can know that they are gone: a snapshot that was removed by
# who may remove, a credential that was never finished.
UNMISSED = {"sessions", "snapshots", "keys:wrap", "keys:cert", "epochs"}
# And what is sealed by a passphrase only its owner can try.
UNSEEN = {"sessions", "keys:wrap"}
CATALOG = {"(a part of the catalog)"}
VERSION_AT = 5  # of every object: its format's version


def check(key, what, sort):
    """check --read-data sees it and says what.  Returns the paths that it names, or
    None where it cannot be asked."""
    code, out, err = wherry("check", "--read-data", "--json")
    text = (out + err).decode(errors="replace")
    name = key.split("/")[-1]
    if sort in ("config", "keys:cert", "keys:wrap", "epochs") and code in (
            1, 10, 12):
        # Nothing can be opened; then it is to be said what is wrong.
        if not err and not out:
            fail(f"{key} {what}: check says nothing")
        return None
    if code == 0:
        if not (what == "removed" and sort in UNMISSED or sort in UNSEEN):
            fail(f"{key} {what}: check finds nothing")
        return None
    # A later format is no damage, and told as such.
    newer = what.startswith(f"a bit flipped at {VERSION_AT} ")
    if code != 13 and not (newer and code == 1 and "format version" in text):
        fail(f"{key} {what}: check ended with {code}: {text[-300:]}")
    # What a segment named is told as missing then.
    elif name not in text and not (what == "removed" and sort == "index"):
        fail(f"{key} {what}: check does not name it: {text[-500:]}")
    return {o["path"] for o in told(out)
            if o.get("message_type") == "damaged_path"}


def restore(key, what, snapshot, original, named_paths):
    shutil.rmtree("back", ignore_errors=True)
    code, out, err = wherry("restore", snapshot, "--target", "back")
    text = err.decode(errors="backslashreplace") + \
        out.decode(errors="backslashreplace")
    got = files("back") if os.path.isdir("back") else {}
    # Where nothing could be had, one line says why; else each path is named.
    if not got and code != 0:
        if not text.strip():
            fail(f"{key} {what}: restore failed and says nothing")
        return
    for path, data in original.items():
        if got.get(path) == data:
            continue
        how = "wrong" if path in got else "missing"
        above = path.split("/")
        above = {"/".join(above[:i]) for i in range(len(above), 0, -1)}
        if code == 0:
            fail(f"{key} {what}: restore is done but {path} is {how}")
        elif not any(a in text for a in above):
            fail(f"{key} {what}: {path} is {how} and not named ({code}): "
                 f"{text[-500:]}")
        elif named_paths is not None and not (above | CATALOG) & named_paths:
            fail(f"{key} {what}: {path} is {how}, and check does not say so")
        else:
            continue
        return


def main():
    with open("pass", "w") as f:
        f.write("correct horse\n")
    os.environ["WHERRY_PASSWORD_FILE"] = os.path.abspath("pass")
    p = subprocess.run([WHERRY, "init", "-r", "repo", "-q"])
    p = p.returncode or subprocess.run(
        [WHERRY, "key", "add", "-r", "repo", "--read", "--write", "--admin",
         "-q", "--new-key-file", KEY]).returncode
    if p:
        sys.exit(1)
    del os.environ["WHERRY_PASSWORD_FILE"]
    make_source()
    need(0, "backup", "src", "--volume", "v", "-q")
    first = files("src")
    for i in range(5, 12):
        with open("src/sub/small%d" % i, "wb") as f:
            f.write(rng.randbytes(2500))
    with open("src/sub/deep/new", "wb") as f:
        f.write(rng.randbytes(500000))
    need(0, "backup", "src", "--volume", "v", "-q")
    second = files("src")
    ids = [json.loads(x)["id"] for x in need(
        0, "snapshots", "--json").decode().splitlines()]
    keys = objects()
    sorts = {}
    for key in keys:
        sorts.setdefault(kind(key), []).append(key)
    print({s: len(v) for s, v in sorts.items()})
    done = 0
    for key in keys:
        sort = kind(key)
        data = open(os.path.join("repo", key), "rb").read()
        peers = [k for k in sorts[sort] if k != key]
        for what, bad in list(damages(key, data, peers)):
            if bad == data:
                continue
            write(key, bad)
            lost = check(key, what, sort)
            restore(key, what, ids[1], second, lost)
            if sort in ("packs", "index", "snapshots"):
                restore(key, what, ids[0], first, lost)
            wherry("ls", "-R", ids[1])
            write(key, data)
            done += 1
            if failures > 30:
                sys.exit(1)
    need(0, "check", "--read-data", "-q")
    print(done, "damages")
    sys.exit(1 if failures else 0)


main()
