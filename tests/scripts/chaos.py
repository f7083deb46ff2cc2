#!/usr/bin/env python3
"""Writers, collectors and one who forgets, all at once in one repository, each
killed, stopped or left alone at any time, some with clocks that are wrong.
What was reported as saved and was not given up stays whole; and when all is
quiet, what nobody needs is given back.

ROUNDS (150), SEED (1), WRITERS (3) and COLLECTORS (2) may be given, and STORE
(minio, versitygw, azurite) for a repository there. A round is one set of runs
side by side. `make soak` takes 10,000.
"""
# timeout: 900

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

WHERRY = os.environ["WHERRY"]
SRC = os.environ["SRC"]
ROUNDS = int(os.environ.get("ROUNDS", "150"))
SEED = int(os.environ.get("SEED", "1"))
WRITERS = int(os.environ.get("WRITERS", "3"))
COLLECTORS = int(os.environ.get("COLLECTORS", "2"))
HERE = os.getcwd()
KEY = os.path.join(HERE, "key")
sys.dont_write_bytecode = True
sys.path.insert(0, SRC + "/tests/servers")
import place  # noqa: E402
import store  # noqa: E402

PLACE = None        # where the repository is
CHECK_EVERY = 5     # rounds
READ_EVERY = 25
YEAR = 365 * 86400
rng = random.Random(SEED)
counts = {"saved": 0, "killed": 0, "stopped": 0, "forgotten": 0,
          "collected": 0, "revoked": 0}


class Lost(Exception):
    pass


def command(verb, *args):
    return [WHERRY, *verb.split(), "-r", PLACE.url, "-k", KEY, *args]


def run(verb, *args, codes=(0,)):
    p = subprocess.run(command(verb, *args), capture_output=True, timeout=120,
                       stdin=subprocess.DEVNULL)
    if p.returncode not in codes:
        raise Lost("%s: exit %d\n%s%s" % (
            " ".join((verb,) + args), p.returncode,
            p.stdout.decode(errors="replace")[-1500:],
            p.stderr.decode(errors="replace")[-1500:]))
    return p.stdout.decode()


# --- what is saved ------------------------------------------------------------------


def tree(path):
    out = {}
    for at, _, names in os.walk(path):
        for name in names:
            p = os.path.join(at, name)
            with open(p, "rb") as f:
                out[os.path.relpath(p, path)] = f.read()
    return out


def change(writer):
    """Some files come, go, change, or are those of another writer."""
    top = "tree%d" % writer
    os.makedirs(top + "/d", exist_ok=True)
    for _ in range(rng.randrange(1, 5)):
        path = "%s/d/f%d" % (top, rng.randrange(10))
        kind = rng.randrange(5)
        if kind == 0 and os.path.exists(path):
            os.unlink(path)
            continue
        size = rng.choice((10, 3000, 40000, 300000))
        # The same bytes turn up again and again, here and elsewhere.
        data = random.Random(rng.randrange(40)).randbytes(size)
        with open(path, "wb") as f:
            f.write(data)


class Run:
    """One process of ours, and what may be done to it."""

    def __init__(self, what, argv, env=None):
        self.what = what
        self.writer = None
        self.source = None
        self.forgets = None
        self.out = open("out.%s" % what, "w+b")
        self.p = subprocess.Popen(argv, stdout=self.out, stderr=self.out,
                                  stdin=subprocess.DEVNULL, env=env)
        self.killed = self.stopped = False
        # So long do runs take.
        span = 0.8 if PLACE.remote else 0.12
        self.at = rng.random() * span if rng.random() < 0.6 else None
        self.how = rng.choice(("kill", "kill", "stop", "term"))

    def disturb(self, now):
        if self.at is None or now < self.at or self.p.poll() is not None:
            return
        self.at = None
        if self.how == "kill":
            self.p.kill()
            self.killed = True
            counts["killed"] += 1
        elif self.how == "term":
            self.p.terminate()
        else:
            self.p.send_signal(signal.SIGSTOP)
            self.stopped = True
            counts["stopped"] += 1

    def text(self):
        self.out.seek(0)
        return self.out.read().decode(errors="replace")


def wrong_clock():
    env = dict(os.environ)
    if rng.random() < 0.25:
        env.update(LD_PRELOAD=os.path.join(HERE, "clock.so"),
                   CLOCK_AHEAD=str(rng.choice((-YEAR, -3600, 3600, YEAR))))
    return env


# --- the rounds ------------------------------------------------------------------------


live = {}   # id: what the tree held
gone = set()


def start():
    runs = []
    for i in range(WRITERS):
        if rng.random() < 0.8:
            change(i)
            r = Run("writer%d" % i, command(
                "backup", "--json", "--volume", "v%d" % i, "tree%d" % i),
                wrong_clock())
            r.writer, r.source = i, tree("tree%d" % i)
            runs.append(r)
    for i in range(COLLECTORS):
        if rng.random() < 0.7:
            more = rng.choice(((), (), ("--abandon",), ("--max-waste=1",)))
            runs.append(Run("collector%d" % i, command("gc", *more),
                            wrong_clock()))
    if len(live) > 4 and rng.random() < 0.7:
        victim = rng.choice(sorted(live))
        del live[victim]
        r = Run("forget", command("forget", "--id", victim))
        r.forgets = victim
        runs.append(r)
    if rng.random() < 0.3:
        runs.append(Run("upkeep", command("upkeep")))
    return runs


def settle(runs, begun):
    """Let those go on that were stopped, perhaps after they were given up."""
    while any(r.p.poll() is None and not r.stopped for r in runs):
        now = time.monotonic() - begun
        for r in runs:
            r.disturb(now)
        if now > 60:
            raise Lost("hangs: " + " ".join(
                r.what for r in runs if r.p.poll() is None))
        time.sleep(0.002)
    if any(r.stopped for r in runs) and rng.random() < 0.6:
        with PLACE.aged():
            run("gc", codes=(0, 1, 3))
        counts["revoked"] += 1
    for r in runs:
        if r.stopped:
            r.p.send_signal(signal.SIGCONT)
    for r in runs:
        r.p.wait(timeout=60)


def learn(runs):
    """What each run said of itself."""
    for r in runs:
        code, text = r.p.returncode, r.text()
        r.out.close()
        if r.writer is not None and code in (0, 3):
            one = json.loads([x for x in text.splitlines()
                              if '"snapshot_id"' in x][-1])["snapshot_id"]
            live[one] = r.source
            counts["saved"] += 1
        elif r.forgets is not None and code == 0:
            gone.add(r.forgets)
            counts["forgotten"] += 1
        elif r.what.startswith("collector") and code == 0:
            counts["collected"] += 1
        if code in (2, 10, 11, 12, 13) or code < 0 and not r.killed and \
                code != -signal.SIGTERM:
            raise Lost("%s ended with %d:\n%s" % (r.what, code, text[-2000:]))


def verify(read):
    listed = {json.loads(x)["id"]
              for x in run("snapshots", "--json").splitlines()}
    if set(live) - listed:
        raise Lost("not there: " + " ".join(sorted(set(live) - listed)))
    if gone & listed:
        raise Lost("there again: " + " ".join(sorted(gone & listed)))
    run("check", *(("--read-data",) if read else ()))
    for one in rng.sample(sorted(live), min(2, len(live))):
        shutil.rmtree("back", ignore_errors=True)
        run("restore", one, "--target", "back")
        if tree("back") != live[one]:
            raise Lost(one + " restored is not what was saved")


def size():
    return sum(PLACE.sizes().values())


def quiet():
    """Nobody writes any more: all that is not needed goes."""
    with PLACE.aged():
        for _ in range(6):
            run("gc", "--max-waste=1")
    verify(True)
    before = size()
    for one in sorted(live):
        run("forget", "--id", one)
    live.clear()
    listed = [json.loads(x)["id"] for x in
              run("snapshots", "--checkpoints", "--json").splitlines()]
    # Committed, but killed before they could say so; what a stopped one left.
    for one in listed:
        run("forget", "--id", one)
    with PLACE.aged():
        for _ in range(4):
            run("gc")
    packs = [k for k in PLACE.keys() if k.startswith("packs/")]
    if packs:
        raise Lost("%d packs are left that nobody needs" % len(packs))
    print("at the end %d KiB, without snapshots %d KiB" % (
        before >> 10, size() >> 10))


def begin():
    with open("pass", "w", encoding="utf-8") as f:
        f.write("correct horse\n")
    env = dict(os.environ, WHERRY_PASSWORD_FILE="pass")
    subprocess.run([WHERRY, "init", "-r", PLACE.url, "--quiet"], env=env, check=True)
    subprocess.run([WHERRY, "key", "add", "-r", PLACE.url, "--read",
                    "--write", "--admin", "--quiet", "--new-key-file", KEY], env=env,
                   check=True)
    subprocess.run(["cc", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", "-o",
                    "clock.so", SRC + "/tests/scripts/preload/clock.c",
                    "-ldl"], check=True)


def rounds():
    begin()
    print("seed %d, %d rounds" % (SEED, ROUNDS), flush=True)
    number = 0
    try:
        for number in range(1, ROUNDS + 1):
            begun = time.monotonic()
            runs = start()
            settle(runs, begun)
            learn(runs)
            if number % 3 == 0:
                with PLACE.aged():
                    if PLACE.remote:
                        run("gc", codes=(0, 1, 3))
            if number % CHECK_EVERY == 0:
                verify(number % READ_EVERY == 0)
        quiet()
    except Lost as why:
        print("FAIL: seed %d, round %d: %s" % (SEED, number, why))
        return 1
    print(", ".join("%d %s" % (n, what) for what, n in counts.items()))
    return 0


def main():
    global PLACE
    try:
        PLACE = place.of("repo", SEED)
    except store.Missing as why:
        print(why)
        return 77
    with PLACE:
        return rounds()


if __name__ == "__main__":
    sys.exit(main())
