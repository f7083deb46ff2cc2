#!/usr/bin/env python3
"""Parity in an object store: it is beside each pack; damage is read through and
put back without any object being overwritten, and a collection removes both.

STORES (minio azurite) are the stores; SEED (3) draws what is damaged.
"""
# timeout: 240

import filecmp
import json
import os
import random
import shutil
import subprocess
import sys

SRC = os.environ["SRC"]
WHERRY = os.environ["WHERRY"]
sys.dont_write_bytecode = True
sys.path.insert(0, SRC + "/tests/servers")
import place  # noqa: E402
import store  # noqa: E402

rng = random.Random(int(os.environ.get("SEED", "3")))
failures = 0


def fail(text):
    global failures
    failures += 1
    print("FAIL:", text, flush=True)


def wherry(code, *args):
    p = subprocess.run([WHERRY, *args], stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=100)
    text = (p.stdout + p.stderr).decode(errors="replace")
    if p.returncode != code:
        fail(f"{' '.join(args)} ended with {p.returncode}, not {code}: "
             f"{text[-800:]}")
    return p.stdout.decode(errors="replace"), text


def restored():
    shutil.rmtree("back", ignore_errors=True)
    wherry(0, "restore", "latest", "--target", "back", "--quiet")
    for name in os.listdir("tree"):
        if not filecmp.cmp("tree/" + name, "back/" + name, shallow=False):
            fail(f"{name} came back otherwise")


def pairs(p, when):
    keys = p.keys()
    packs, parity = ({k.split("/", 1)[1] for k in keys if k.startswith(s)}
                     for s in ("packs/", "parity/"))
    if packs != parity:
        fail(f"{when}: packs without parity {packs - parity}, parity without "
             f"packs {parity - packs}")
    return sorted(packs)


def hurt(p, key, places):
    b = bytearray(p.read(key))
    for _ in range(places):
        at, n = rng.randrange(len(b)), min(4096, len(b) // 100)
        b[at:at + n] = rng.randbytes(len(b[at:at + n]))
    p.write(key, bytes(b))
    return bytes(b)


def life(p):
    os.environ["WHERRY_REPOSITORY"] = p.url
    wherry(0, "init", "--quiet", "--parity", "10%")
    wherry(0, "backup", "tree", "--volume", "v", "--quiet")
    names = pairs(p, "after a backup")
    bad = {}
    for name in names:
        bad["packs/" + name] = hurt(p, "packs/" + name, 3)
    restored()
    out, _ = wherry(13, "check", "--read-data", "--json")
    said = [json.loads(x) for x in out.splitlines()]
    told = {o["key"]: o["healable"] for o in said
            if o.get("message_type") == "damaged_ranges"}
    if told != dict.fromkeys(bad, True):
        fail(f"check tells {told} of {sorted(bad)}")
    out, _ = wherry(0, "repair", "--read-data", "--json")
    end = json.loads(out.splitlines()[-1])
    if not end["blobs_by_parity"] or end["lost_blobs"]:
        fail(f"repair: {end}")
    for key, data in bad.items():
        if p.read(key) != data:
            fail(f"{key} was overwritten")
    wherry(0, "check", "--read-data", "--quiet")
    pairs(p, "after repair")
    # Parity that is damaged is made anew, that of a pack that is gone goes.
    name = next(n for n in pairs(p, "again") if n not in names)
    hurt(p, "parity/" + name, 1)
    wherry(13, "check", "--read-data", "--quiet")
    wherry(0, "repair", "--quiet")
    p.write("parity/0a/0a" + "5" * 30, p.read("parity/" + name))
    with open("tree/large0", "wb") as f:
        f.write(rng.randbytes(5000000))
    wherry(0, "backup", "tree", "--volume", "v", "--quiet")
    wherry(0, "forget", "--keep-last", "1", "--volume", "v", "--quiet")
    wherry(0, "gc", "--quiet")
    pairs(p, "after gc")
    wherry(0, "check", "--read-data", "--quiet")
    restored()


def main():
    with open("pass", "w") as f:
        f.write("correct horse\n")
    os.environ["WHERRY_PASSWORD_FILE"] = os.path.abspath("pass")
    done = 0
    for kind in os.environ.get("STORES", "minio azurite").split():
        shutil.rmtree("tree", ignore_errors=True)
        os.mkdir("tree")
        for i in range(3):
            with open(f"tree/large{i}", "wb") as f:
                f.write(rng.randbytes(4000000))
        os.environ["STORE"] = kind
        try:
            with place.of("repo") as p:
                life(p)
        except store.Missing as why:
            print(f"{kind}: {why}")
            continue
        done += 1
    if failures:
        sys.exit(1)
    sys.exit(0 if done else 77)


main()
