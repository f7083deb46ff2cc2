#!/usr/bin/env python3
"""An object store behind a bad network. What passes is done in spite of it;
what stays ends with a clear error, in a bounded number of requests; and in no
case is anything lost that was said to be saved, or anything that is wrong taken
for right.

STORES (minio azurite) are the stores, side by side; ONLY is a part of the names
of faults, SHOW prints each.
"""
# timeout: 600

import filecmp
import json
import os
import random
import shutil
import subprocess
import sys
import time

SRC = os.environ["SRC"]
WHERRY = os.environ["WHERRY"]
sys.dont_write_bytecode = True
sys.path.insert(0, SRC + "/tests/servers")
import place  # noqa: E402
import store  # noqa: E402

STORES = os.environ.get("STORES", "minio azurite").split()
ONLY = os.environ.get("ONLY", "")
KEY = os.path.abspath("key")
MIB = 1 << 20
PATIENCE = 45       # seconds for a verb
REQUESTS = 1500     # more is a loop
CLEAR = (1, 2, 10, 12, 13)
rng = random.Random(int(os.environ.get("SEED", "5")))
failures = 0
saved = {}          # snapshot id: the tree's number


def fail(text):
    global failures
    failures += 1
    print("FAIL:", text, flush=True)


# Faults that pass: each verb must succeed. ANSWERS are those of either store.
def passing(kind):
    slow = "ServerBusy" if kind == "azurite" else "SlowDown"
    yield "latency ms=20 jitter=30"
    yield "connect ms=50"
    yield "outage count=3"
    yield "outage p=0.1"
    yield "outage for-ms=1500"
    yield "lose p=0.15"
    yield "lose method=PUT p=0.5 count=6"
    yield "lose method=DELETE p=0.5 count=4"
    yield "cut-up bytes=5000 p=0.2 count=6"
    yield "cut-down bytes=50 p=0.15"
    yield "short p=0.15"
    yield "close p=0.5"
    yield "hang ms=700 p=0.1 count=4"
    yield "slow down=3000000 up=3000000"
    yield "answer status=503 code=%s retry-after=1 count=3" % slow
    yield "answer status=503 code=%s p=0.2" % slow
    yield "answer status=500 code=InternalError p=0.15"
    yield "answer status=429 code=TooManyRequests count=3"
    yield "date seconds=1200"
    yield "date seconds=-1200"
    yield "length add=7 method=GET p=0.1 count=4"
    if kind != "azurite":
        yield "answer status=400 code=RequestTimeout count=2"
        yield "answer status=403 code=RequestTimeTooSkewed count=1"
        yield "answer status=409 code=OperationAborted method=PUT count=2"


# Those that stay, or that spoil bytes: success, or a clear error.
def staying(kind):
    slow = "ServerBusy" if kind == "azurite" else "SlowDown"
    yield "outage"
    yield "outage from=12"
    yield "lose"
    yield "lose method=PUT from=2"
    yield "short"
    yield "cut-down bytes=20"
    yield "garbage"
    yield "garbage path=list from=1"
    yield "length add=-3"
    yield "length add=100000000000"
    yield "flip-down p=0.1"
    yield "flip-up p=0.2"
    yield "flip-down path=list"
    yield "answer status=503 code=%s" % slow
    yield "answer status=503 code=%s from=15 retry-after=86400" % slow
    yield "answer status=403 code=AccessDenied"
    yield "answer status=403 code=AccessDenied method=PUT from=3"
    yield "answer status=403 code=AccessDenied method=DELETE"
    yield "answer status=401 code=InvalidToken from=4"
    yield "answer status=400 code=ExpiredToken"
    yield "answer status=403 code=RequestTimeTooSkewed"
    yield "answer status=301 code=PermanentRedirect"
    yield ("answer status=307 code=TemporaryRedirect "
           "location=http://127.0.0.1:9/elsewhere")
    yield "answer status=404 code=NoSuchBucket"
    yield "answer status=404 code=NoSuchKey path=packs"
    yield "answer status=507 code=XMinioStorageFull method=PUT from=4"
    yield "answer status=200 code=InternalError"
    yield "answer status=204 code=Nothing"
    yield "answer status=418 code=Teapot"


class World:
    """One repository in a store, and what is said of it."""

    def __init__(self, p):
        self.p = p
        self.number = 0

    def wherry(self, *args, patient=True):
        """Run a verb; its exit code and all that it says."""
        env = dict(os.environ)
        if not patient:
            env["WHERRY_TEST_RETRY_MS"] = "700"
        try:
            r = subprocess.run(
                [WHERRY, args[0], "-r", self.p.url, "-k", KEY, *args[1:]],
                stdin=subprocess.DEVNULL, capture_output=True, env=env,
                timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return 124, "hangs"
        return r.returncode, (r.stdout + r.stderr).decode(errors="replace")

    def good(self, *args, codes=(0,)):
        self.p.proxy.rules()
        code, text = self.wherry(*args)
        if code not in codes:
            fail("%s in a good network: %d, %s" % (args[0], code, text[-600:]))
        return text

    def begin(self):
        with open("pass", "w", encoding="utf-8") as f:
            f.write("correct horse\n")
        env = dict(os.environ, WHERRY_PASSWORD_FILE="pass")
        for args in (("init", "-q"), (
                "key", "add", "-q", "--read", "--write", "--admin",
                "--new-key-file", KEY)):
            subprocess.run([WHERRY, *args, "-r", self.p.url], env=env,
                           check=True)
        self.change()
        self.learn(self.good("backup", "--json", "src"))

    def change(self):
        """Another tree; each is kept to compare with."""
        self.number += 1
        top = "tree%d" % self.number
        os.makedirs(top)
        for i in range(3):
            with open("%s/f%d" % (top, i), "wb") as f:
                f.write(rng.randbytes(rng.choice((900, 70000, MIB))))
        if os.path.islink("src"):
            os.unlink("src")
        shutil.rmtree("src", ignore_errors=True)
        shutil.copytree(top, "src")

    def learn(self, text):
        for line in text.splitlines():
            if '"snapshot_id"' in line:
                saved[json.loads(line)["snapshot_id"]] = self.number

    # --- one fault ---

    def bear(self, rule, verb, must):
        """Run verb while rule holds."""
        self.p.proxy.reset()
        self.p.proxy.rules(rule)
        shutil.rmtree("back", ignore_errors=True)
        newest = list(saved)[-1]
        args = {"backup": ("backup", "--json", "src"),
                "restore": ("restore", newest, "--target", "back"),
                "gc": ("gc",)}[verb]
        begin = time.monotonic()
        code, text = self.wherry(*args, patient=must)
        took = time.monotonic() - begin
        requests = self.p.proxy.stats()["requests"]
        name = "%s, %s, %s" % (self.p.store.kind, rule, verb)
        if code == 124:
            fail("%s: no end after %d s, %d requests" % (
                name, PATIENCE, requests))
        elif requests > REQUESTS:
            fail("%s: %d requests" % (name, requests))
        elif must and code != 0:
            fail("%s: exit %d: %s" % (name, code, text[-600:]))
        elif code not in (0, 3) + CLEAR:
            fail("%s: exit %d: %s" % (name, code, text[-600:]))
        elif code != 0 and not said(text):
            fail("%s: exit %d, and no reason: %s" % (name, code, text[-300:]))
        if os.environ.get("SHOW"):
            print("%-60s %3d %5.1f s %5d requests %s" % (
                name, code, took, requests,
                text.strip().splitlines()[-1][:150] if code else ""),
                flush=True)
        if verb == "backup" and code == 0:
            self.learn(text)
        if verb == "restore" and code == 0:
            self.same(newest, name)

    def same(self, one, name):
        want = "tree%d" % saved[one]
        c = filecmp.dircmp(want, "back")
        bad = filecmp.cmpfiles(want, "back", c.common, shallow=False)
        if c.left_only or c.right_only or bad[1] or bad[2]:
            fail("%s: what was restored is not what was saved" % name)

    def verify(self, name):
        """Nothing is lost."""
        listed = {json.loads(x)["id"] for x in
                  self.good("snapshots", "--json").splitlines()
                  if x.startswith("{")}
        if set(saved) - listed:
            fail("%s: lost %s" % (name, set(saved) - listed))
        self.good("check", "--read-data", "-q")
        newest = list(saved)[-1]
        shutil.rmtree("back", ignore_errors=True)
        self.good("restore", newest, "--target", "back", "-q")
        self.same(newest, name)


def said(text):
    return any(line.startswith("wherry: ") and len(line) > 20
               for line in text.splitlines())


def one_store(kind):
    saved.clear()
    with place.Remote(kind, prefix="repo-%s" % kind) as p:
        w = World(p)
        w.begin()
        for must, rules in ((True, passing(kind)), (False, staying(kind))):
            for i, rule in enumerate(rules):
                if ONLY not in rule:
                    continue
                before = failures
                w.change()
                for verb in ("backup", "restore", "gc")[:2 + (i % 3 == 0)]:
                    w.bear(rule, verb, must)
                if failures > before or "flip" in rule or "lose" in rule:
                    w.verify("%s, %s" % (kind, rule))
        w.verify(kind)


def main():
    if len(STORES) > 1:
        runs = []
        for kind in STORES:
            os.mkdir(kind)
            runs.append(subprocess.Popen(
                [sys.executable, os.path.abspath(__file__)], cwd=kind,
                env=dict(os.environ, STORES=kind)))
        return max(p.wait() for p in runs)
    try:
        one_store(STORES[0])
    except store.Missing as why:
        print(why)
        return 77
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
