#!/usr/bin/env python3
"""A long upload to an object store that is cut off: what had arrived is not sent
again. Stopped by Ctrl-C (nothing is), and killed (an eighth, at least 128 MiB,
and what was under way).

SIZE is what is backed up, in MiB (600); STORE the store (minio).
"""
# timeout: 300

import os
import random
import signal
import subprocess
import sys
import time

SRC = os.environ["SRC"]
WHERRY = os.environ["WHERRY"]
sys.dont_write_bytecode = True
sys.path.insert(0, SRC + "/tests/servers")
import proxy  # noqa: E402
import store  # noqa: E402

MIB = 1 << 20
SIZE = int(os.environ.get("SIZE", "600"))
UNDER_WAY = 8 * 16  # packs that may be on their way, MiB
failed = False


def fail(text):
    global failed
    failed = True
    print("FAIL:", text)


def make(path, seed):
    """Files that nothing shrinks."""
    os.makedirs(path)
    r = random.Random(seed)
    for i in range(SIZE // 20):
        with open("%s/f%d" % (path, i), "wb") as f:
            f.write(r.randbytes(20 * MIB))


def run(*args):
    return [WHERRY, args[0], "-k", "key", *args[1:]]


def cut_off(p, env, tree, sig):
    """A backup that gets sig at 2/3 of its way, then one that is left alone.
    Returns MiB sent by each."""
    p.reset()
    b = subprocess.Popen(run("backup", tree, "--volume", tree, "--quiet"),
                         env=env)
    end = time.monotonic() + 120
    while p.stats()["up"] < SIZE * 2 // 3 * MIB and b.poll() is None and \
            time.monotonic() < end:
        time.sleep(0.02)
    if b.poll() is not None:
        fail("%s: it was done before it was cut off" % tree)
    b.send_signal(sig)
    code = b.wait()
    if code not in (130, -9):
        fail("%s: it ended with %d" % (tree, code))
    first = p.stats()["up"] / MIB
    p.reset()
    again = subprocess.run(run("backup", tree, "--volume", tree, "--quiet"),
                           env=env, check=False)
    if again.returncode != 0:
        fail("%s: the second run ended with %d" % (tree, again.returncode))
    second = p.stats()["up"] / MIB
    print("%s: %d MiB: %.0f sent, then %.0f" % (tree, SIZE, first, second))
    return first, second


def main():
    with store.Store(os.environ.get("STORE", "minio")) as s, \
            proxy.Proxy(s) as p:
        env = dict(os.environ, **s.env)
        env["WHERRY_REPOSITORY"] = s.url("resume", port=p.port)
        # Not faster than the test can look.
        p.rules("rate up=200000000")
        env["WHERRY_PASSWORD"] = "words"
        subprocess.run([WHERRY, "init", "--quiet"], env=env, check=True)
        subprocess.run([WHERRY, "key", "add", "--write", "--read",
                        "--new-key-file",
                        "key", "--quiet"], env=env, check=True)
        make("stopped", 1)
        first, second = cut_off(p, env, "stopped", signal.SIGINT)
        if first + second > SIZE * 1.02 + 4:
            fail("after Ctrl-C %.0f MiB were sent again" %
                 (first + second - SIZE))
        make("killed", 2)
        first, second = cut_off(p, env, "killed", signal.SIGKILL)
        if first + second > SIZE + max(128, first / 8) + UNDER_WAY:
            fail("after a kill %.0f MiB were sent again" %
                 (first + second - SIZE))
        check = subprocess.run(run("check", "--quiet"), env=env, check=False)
        if check.returncode != 0:
            fail("check ended with %d" % check.returncode)


try:
    main()
except store.Missing as why:
    print(why)
    sys.exit(77)
sys.exit(failed)
