"""One command, measured: wall and CPU time, peak memory, how it ended."""

import os
import signal
import subprocess
import threading
import time

children = set()


class Run:
    """What a command took. rss_mib is the largest process of those it had."""

    def __init__(self, wall, cpu, rss_mib, code, timed_out, output):
        self.wall = wall
        self.cpu = cpu
        self.rss_mib = rss_mib
        self.code = code
        self.timed_out = timed_out
        self.output = output

    def why(self):
        if self.timed_out:
            return "did not end within %.0f s" % self.wall
        tail = " ".join(self.output.strip().split("\n")[-3:])
        return "ended with %d: %s" % (self.code, tail[-300:])


def run(argv, env=None, cwd=None, timeout=3600.0, log=None):
    """Run argv to its end; its output goes to the file log, then to .output."""
    out = open(log, "wb+") if log else subprocess.DEVNULL
    late = threading.Event()
    start = time.monotonic()
    p = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                         stdout=out, stderr=subprocess.STDOUT,
                         start_new_session=True)
    children.add(p.pid)

    def stop():
        late.set()
        os.killpg(p.pid, signal.SIGKILL)

    timer = threading.Timer(timeout, stop)
    timer.start()
    try:
        _, status, used = os.wait4(p.pid, 0)
        wall = time.monotonic() - start
    finally:
        timer.cancel()
    p.returncode = os.waitstatus_to_exitcode(status)
    children.discard(p.pid)
    text = ""
    if log:
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
        out.close()
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024,
               p.returncode, late.is_set(), text)


def stop_all():
    """End what is still running; for the way out."""
    for pid in list(children):
        try:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except OSError:
            pass
