#!/usr/bin/env python3
"""Every object of a small repository is damaged in every way in turn: bytes
flipped at many places, cut off, exchanged for another of its kind, removed.
`check --read-data` names it, and for content the snapshots and paths that lost
something; a restore gives the rest back, ends with a failure, and no file is
wrong without being named.

For some of the damages, drawn by lot, repair follows, with a backup of the
same source: what that has is whole again in every snapshot, what it has not any
more is named by snapshot and path, and no object that was sound is touched.
"""
# timeout: 420
# goals: check check-asan
# PLACES (3) is the number of places where a byte of each object is flipped,
# CASES (220) that of damages drawn from all of them, REPAIRS (40) that of those
# after which is repaired (0 for both: all), SEED (4) draws them. STORE (minio,
# versitygw, azurite) takes a repository there.

import json
import os
import random
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.environ["SRC"] + "/tests/servers")
import place  # noqa: E402
import store  # noqa: E402

WHERRY = os.environ["WHERRY"]
PLACES = int(os.environ.get("PLACES", "3"))
CASES = int(os.environ.get("CASES", "220"))
REPAIRS = int(os.environ.get("REPAIRS", "40"))
KEY = os.path.abspath("key")
rng = random.Random(int(os.environ.get("SEED", "4")))
PLACE = None        # where the repository is
failures = 0


def fail(text):
    global failures
    failures += 1
    print("FAIL:", text)


def wherry(*args):
    """Run a verb; return its exit code, stdout and stderr."""
    # What this machine keeps of a store would hide from a reader what the store
    # has lost.  A backup has to heal it all the same.
    argv = [WHERRY, args[0], "-r", PLACE.url, "-k", KEY,
            *(["--no-cache"] if args[0] != "backup" else []), *args[1:]]
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


def kind(key):
    """What sort of object it is: those of one sort may be exchanged."""
    part = key.split("/")
    return part[0] + (":" + part[2] if part[0] == "keys" else "")


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
        yield f"exchanged for {other}", PLACE.read(other)
    yield "removed", None


def told(out):
    return [json.loads(x) for x in out.decode(errors="replace").splitlines()]


# Of these nobody can know that they are gone: a snapshot that was removed by
# who may remove, a credential that was never finished.
UNMISSED = {"sessions", "snapshots", "keys:wrap", "keys:cert", "epochs"}
# And what is sealed by a passphrase only its owner can try.
UNSEEN = {"sessions", "keys:wrap"}
CATALOG = {"(a part of the catalog)"}
STATE = {"(what the next backup goes by; no file)"}  # a restore needs it not


def check(key, what, sort):
    """check --read-data sees it and says what.  Returns the paths that it names, or
    None where it cannot be asked."""
    code, out, err = wherry("check", "--read-data", "--json")
    text = (out + err).decode(errors="replace")
    name = key.split("/")[-1]
    if sort in ("config", "keys:cert", "keys:wrap", "epochs") and (
            code in (1, 10, 12) or b"cannot open" in err):
        # Nothing can be opened; then it is to be said what is wrong.
        if not err and not out:
            fail(f"{key} {what}: check says nothing")
        return None
    if code == 0:
        if not (what == "removed" and sort in UNMISSED or sort in UNSEEN):
            fail(f"{key} {what}: check finds nothing")
        return None
    if code != 13:
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


def digests():
    """Every object and its bytes, but for what a repair writes."""
    return {k: hash(PLACE.read(k)) for k in PLACE.keys()}


def compare_all(key, what, snapshot, want, lost):
    """Every file of the snapshot is as it was, but for those in lost."""
    shutil.rmtree("back", ignore_errors=True)
    code, out, err = wherry("restore", snapshot, "--target", "back")
    if code != (1 if lost else 0) and not (lost and code in (3, 13)):
        fail(f"{key} {what}: after repair, restore of {snapshot} ended with "
             f"{code}: {err[-300:]}")
        return
    got = files("back") if os.path.isdir("back") else {}
    for path, data in want.items():
        if got.get(path) != data and path not in lost:
            fail(f"{key} {what}: after repair {path} of {snapshot} is "
                 f"{'wrong' if path in got else 'missing'}")
            return


# What cannot be made up for: the root of a snapshot, what a credential is.
FINAL = {"config", "keys:cert", "keys:wrap", "epochs"}


def repair(key, what, sort, snapshots):
    """snapshots: id -> files.  Repair, back up, and look at all of it."""
    PLACE.keep()
    before = digests()
    code, out, err = wherry("repair", "--read-data", "--json")
    if sort in FINAL and (code in (1, 10, 12) or b"cannot open" in err):
        return # nothing can be mended by who cannot open it
    if code not in (0, 13):
        fail(f"{key} {what}: repair ended with {code}: {err[-300:]}")
    after = digests()
    for k, d in before.items():
        gone = k not in after
        if k != key and kind(k) not in ("bad", "checked") and \
                (gone or after[k] != d):
            fail(f"{key} {what}: repair has touched {k}, which was sound")
    said = told(out)
    root = sort == "snapshots" and key.split("-")[-1]
    # The source has all of the second; what only the first had may be lost.
    code, out, err = wherry("backup", "src", "--volume", "v", "--json", "-q")
    if code != 0:
        fail(f"{key} {what}: the backup after repair ended with {code}: "
             f"{err[-300:]}")
        return
    new = told(out)[-1]["snapshot_id"]
    if sort in FINAL:
        return # what it could be opened without
    code, out, err = wherry("repair", "--json")
    lost = {}
    for o in told(out):
        if o.get("message_type") == "lost_path":
            lost.setdefault(o["snapshot_id"], set()).add(o["path"])
    first = snapshots[0]
    for sid, want in snapshots + [(new, snapshots[-1][1])]:
        if sid == root:
            continue
        named = lost.get(sid, set())
        if sid != first[0] and named:
            fail(f"{key} {what}: {sid} stays without {sorted(named)[:3]}, "
                 f"which the source has")
        # A catalog page names no path: then all of it is taken as named.
        if named & CATALOG:
            named |= set(want)
        compare_all(key, what, sid, want, named - STATE)
    code, out, err = wherry("check", "--read-data")
    dead = bool(lost) or root and what != "removed"
    # What needs gc, or time, or another administrator, stays named.
    if code != (13 if dead else 0) and not (
            code == 13 and sort in ("snapshots", "sessions", "gc")):
        fail(f"{key} {what}: check after repair and backup ended with {code}: "
             f"{err[-400:]}")
    if not said:
        fail(f"{key} {what}: repair says nothing")


def prepare():
    """A repository with two snapshots; [(id, files)], the older first."""
    with open("pass", "w") as f:
        f.write("correct horse\n")
    os.environ["WHERRY_PASSWORD_FILE"] = os.path.abspath("pass")
    p = subprocess.run([WHERRY, "init", "-r", PLACE.url, "-q"])
    p = p.returncode or subprocess.run(
        [WHERRY, "key", "add", "-r", PLACE.url, "--read", "--write",
         "--admin", "-q", "--new-key-file", KEY]).returncode
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
    # A state says of what is young that it must not be carried over.  The next
    # backup says so no more, and so makes another page, which heals nothing.
    time.sleep(2.1)
    need(0, "backup", "src", "--volume", "v", "-q")
    second = files("src")
    ids = [json.loads(x)["id"] for x in need(
        0, "snapshots", "--json").decode().splitlines()]
    return [(ids[0], first), (ids[1], second)]


def rounds():
    snapshots = prepare()
    keys = PLACE.keys()
    sorts = {}
    for key in keys:
        sorts.setdefault(kind(key), []).append(key)
    print({s: len(v) for s, v in sorts.items()})
    # Nothing of it is young: what has not changed is carried over.
    time.sleep(2.1)
    cases = []
    for key in keys:
        data = PLACE.read(key)
        peers = [k for k in sorts[kind(key)] if k != key]
        cases += [(key, data, what, bad)
                  for what, bad in damages(key, data, peers) if bad != data]
    if CASES:
        cases = [cases[i] for i in sorted(rng.sample(
            range(len(cases)), min(CASES, len(cases))))]
    mend = set(range(len(cases)))
    if REPAIRS:
        mend = set(rng.sample(sorted(mend), min(REPAIRS, len(cases))))
    for i, (key, data, what, bad) in enumerate(cases):
        sort = kind(key)
        PLACE.write(key, bad)
        lost = check(key, what, sort)
        restore(key, what, snapshots[1][0], snapshots[1][1], lost)
        if sort in ("packs", "index", "snapshots"):
            restore(key, what, *snapshots[0], lost)
        wherry("ls", "-R", snapshots[1][0])
        if i in mend:
            repair(key, what, sort, snapshots)
            PLACE.put_back()
        PLACE.write(key, data)
        # What check writes down is no part of it.
        for k in PLACE.keys():
            if k.startswith("checked/"):
                PLACE.write(k, None)
        if failures > 30:
            return 1
    need(0, "check", "--read-data", "-q")
    print(len(cases), "damages,", len(mend), "repairs")
    return 1 if failures else 0


def main():
    global PLACE
    try:
        PLACE = place.of("repo")
    except store.Missing as why:
        print(why)
        return 77
    with PLACE:
        return rounds()


sys.exit(main())
