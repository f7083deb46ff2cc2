#!/usr/bin/env python3
"""Runs the tests of a goal and counts them.  See tests/README.md.

usage: run.py --out DIR [--goal GOAL] [--only TEXT]... [--jobs N] [--slow N]

A test is a program.  Exit status 0 is a pass, 77 a skip whose reason is the
last line of its output, anything else a failure.  Each runs in a session and
a temporary directory of its own, with a time limit.  The last line says how
many there were.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

SRC = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
LIMIT = 120  # seconds, unless the test says otherwise
SHOWN = 200  # lines of a failure's output; the whole is in the log
SKIP = 77
MARK = re.compile(r"^\s*(?:#|//|/\*|\*)?\s*(timeout|goals|alone):?\s*(.*?)"
                  r"\s*(?:\*/)?$")


class Test:
    """One program to run, and what its head says about how."""

    def __init__(self, name, argv, source):
        self.name = name
        self.argv = argv
        self.limit = LIMIT
        self.goals = {"check"}
        self.alone = False
        with open(source, errors="replace") as f:
            for line in list(f)[:40]:
                if line.lstrip()[:1] not in ("#", "/", "*"):
                    continue
                m = MARK.match(line.rstrip())
                if m and m.group(1) == "timeout" and m.group(2).isdigit():
                    self.limit = int(m.group(2))
                elif m and m.group(1) == "goals" and m.group(2):
                    self.goals = set(m.group(2).split())
                elif m and m.group(1) == "alone" and not m.group(2):
                    self.alone = True


def find_tests(out):
    """Lint, the unit programs, and every script."""
    lint = os.path.join(SRC, "tests/lint/lint.py")
    tests = [Test("lint", [sys.executable, lint], lint)]
    tests[0].goals = {"check", "check-quick"}
    for f in sorted(os.listdir(os.path.join(SRC, "tests/unit"))):
        if f.endswith(".c"):
            t = Test("unit/" + f[:-2], [os.path.join(out, "tests/unit", f[:-2])],
                     os.path.join(SRC, "tests/unit", f))
            t.goals |= {"check-quick", "check-asan", "check-tsan",
                        "check-valgrind"}
            tests.append(t)
    for f in sorted(os.listdir(os.path.join(SRC, "tests/scripts"))):
        path = os.path.join(SRC, "tests/scripts", f)
        if f.endswith((".sh", ".py")):
            how = [sys.executable] if f.endswith(".py") else ["sh"]
            with open(path, errors="replace") as script:
                if "bash" in script.readline():
                    how = ["bash"]
            tests.append(Test("scripts/" + f, how + [path], path))
    return tests


def read_allowed():
    """The tests that may be skipped where CI=true."""
    allowed = set()
    with open(os.path.join(SRC, "tests/ci-may-skip")) as f:
        for line in f:
            words = line.split("#")[0].split()
            if words:
                allowed.add(words[0])
    return allowed


def mounts_under(d):
    """Mount points below a directory, deepest first."""
    found = []
    with open("/proc/self/mountinfo", errors="surrogateescape") as f:
        for line in f:
            at = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)),
                        line.split(" ")[4])
            if at.startswith(d + "/"):
                found.append(at)
    return sorted(found, reverse=True)


def loops_under(d):
    """Loop devices whose file is below a directory."""
    found = []
    for dev in os.listdir("/sys/block") if os.path.isdir("/sys/block") else []:
        try:
            with open("/sys/block/%s/loop/backing_file" % dev,
                      errors="surrogateescape") as f:
                if f.read().startswith(d + "/"):
                    found.append("/dev/" + dev)
        except OSError:
            pass
    return found


def quiet(*argv):
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


class Runner:
    """Runs tests and remembers what came of them."""

    def __init__(self, out, slow):
        self.out = out
        self.slow = slow
        self.lock = threading.Lock()
        self.count = {"passed": 0, "failed": 0, "skipped": 0}
        self.running = set()
        self.failures = []
        self.stopped = False
        self.allowed = read_allowed()
        self.base = os.path.realpath(tempfile.mkdtemp(prefix="wherry-tests-"))

    def environment(self, tmp):
        env = dict(os.environ)
        for name in list(env):
            if name.startswith("WHERRY_"):
                del env[name]
        env.update(
            SRC=SRC, O=self.out, WHERRY=os.path.join(self.out, "wherry"),
            TOOLS=os.path.join(self.out, "tests/tools"), TMPDIR=tmp, HOME=tmp,
            XDG_CACHE_HOME=os.path.join(tmp, ".cache"), LC_ALL="C.UTF-8",
            TZ="UTC", MALLOC_PERTURB_=str(len(tmp) % 254 + 1),
            MALLOC_CHECK_="3", SLOW=str(self.slow),
            # Kept between runs, so outside the directory of one test.
            TEST_CACHE=os.environ.get("TEST_CACHE") or os.path.join(
                os.environ.get("XDG_CACHE_HOME") or
                os.path.expanduser("~/.cache"), "wherry-tests"))
        env.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
        env["PATH"] += ":/usr/sbin:/sbin"
        env.setdefault("ASAN_OPTIONS",
                       "detect_leaks=1:allocator_may_return_null=1")
        env.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
        env.setdefault("TSAN_OPTIONS", "halt_on_error=0:exitcode=66:"
                       "allocator_may_return_null=1")
        return env

    def run(self, test):
        if self.stopped:
            return
        tmp = os.path.join(self.base, re.sub(r"[^\w.-]", "-", test.name))
        log = os.path.join(self.out, "tests/log", os.path.basename(tmp))
        os.makedirs(tmp)
        os.makedirs(os.path.dirname(log), exist_ok=True)
        begin = time.monotonic()
        status, notes = self._execute(test, tmp, log)
        seconds = time.monotonic() - begin
        notes += self._clean(tmp)
        with open(log, errors="replace") as f:
            lines = f.read().split("\n")
        while lines and not lines[-1].strip():
            lines.pop()
        self._judge(test, status, notes, seconds, lines, log)

    def _execute(self, test, tmp, log):
        """Run it; return its exit status and what else went wrong."""
        limit = test.limit * self.slow
        with open(log, "wb") as f:
            try:
                p = subprocess.Popen(
                    test.argv, cwd=tmp, env=self.environment(tmp), stdout=f,
                    stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                    start_new_session=True)
            except OSError as e:
                return 1, ["cannot be started: %s" % e]
            with self.lock:
                self.running.add(p)
            notes = []
            try:
                status = p.wait(timeout=limit)
            except subprocess.TimeoutExpired:
                notes.append("longer than its limit of %d s" % limit)
                self._end(p, signal.SIGTERM)
                try:
                    p.wait(timeout=5)
                except subprocess.TimeoutExpired:
                    pass
                self._end(p, signal.SIGKILL)
                status = p.wait() or 1
            with self.lock:
                self.running.discard(p)
            self._end(p, signal.SIGKILL)  # what it left behind
        if status < 0:
            notes.append("ended by %s" % signal.Signals(-status).name)
        return status, notes

    @staticmethod
    def _end(p, sig):
        try:
            os.killpg(p.pid, sig)
        except OSError:
            pass

    def _clean(self, tmp):
        """Remove the directory; return what had been left there."""
        notes = []
        for at in mounts_under(tmp):
            notes.append("left a mount behind: %s" % at[len(tmp) + 1:])
            quiet("umount", "-l", at)
        for dev in loops_under(tmp):
            notes.append("left a loop device behind: %s" % dev)
            quiet("losetup", "-d", dev)
        quiet("rm", "-rf", "--one-file-system", tmp)
        stress = os.path.join(self.out, "tests/tools/treestress")
        if os.path.lexists(tmp) and os.path.exists(stress):
            quiet(stress, "-d", tmp)
        if os.path.lexists(tmp):
            notes.append("its directory cannot be removed: %s" % tmp)
        return notes

    def _judge(self, test, status, notes, seconds, lines, log):
        reason = lines[-1] if lines else "no reason given"
        if status == SKIP and not notes:
            if os.environ.get("CI") != "true" or test.name in self.allowed:
                word, kind = "skip", "skipped"
            else:
                word, kind = "FAIL", "failed"
                notes = ["skipped, which it may not be with CI=true; "
                         "tests/ci-may-skip lists those that may"]
        elif status == 0 and not notes:
            word, kind, reason = "ok", "passed", ""
        else:
            word, kind, reason = "FAIL", "failed", ""
            if status > 0:
                notes.insert(0, "exit status %d" % status)
        with self.lock:
            if self.stopped:
                return
            self.count[kind] += 1
            print("%-4s  %-44s %6.1f s%s" % (
                word, test.name, seconds, "  " + reason if reason else ""))
            if kind == "failed":
                self.failures.append(test.name)
                if len(lines) > SHOWN:
                    print("      | ... (all of it: %s)" % log)
                for line in lines[-SHOWN:]:
                    print("      | " + line)
                for note in notes:
                    print("      > " + note)
            sys.stdout.flush()

    def stop(self, *_):
        self.stopped = True
        for p in list(self.running):
            self._end(p, signal.SIGKILL)

    def finish(self):
        quiet("rm", "-rf", "--one-file-system", self.base)
        if self.failures:
            print("failed: " + " ".join(sorted(self.failures)))
        print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" %
              self.count)
        return 1 if self.failures or self.stopped else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True, help="where make built")
    parser.add_argument("--goal", default="check")
    parser.add_argument("--only", action="append",
                        help="the test of this name, or those whose name "
                        "holds this text; may be repeated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--slow", type=int, default=1,
                        help="multiply time limits")
    args = parser.parse_args()
    out = os.path.realpath(args.out)
    sys.stdout.reconfigure(errors="backslashreplace")
    tests = find_tests(out)
    names = {t.name for t in tests}
    tests = [t for t in tests if
             (any(o == t.name if o in names else o in t.name
                  for o in args.only) if args.only else args.goal in t.goals)]
    if args.goal == "check-valgrind":
        for t in tests:
            t.argv = ["valgrind", "-q", "--error-exitcode=99",
                      "--leak-check=full"] + t.argv
    runner = Runner(out, args.slow)
    signal.signal(signal.SIGINT, runner.stop)
    signal.signal(signal.SIGTERM, runner.stop)
    together = [t for t in tests if not t.alone]
    together.sort(key=lambda t: -t.limit)  # the long ones first
    with ThreadPoolExecutor(max(1, args.jobs)) as pool:
        list(pool.map(runner.run, together))
    for t in tests:
        if t.alone:
            runner.run(t)
    return runner.finish()


if __name__ == "__main__":
    sys.exit(main())
