#!/usr/bin/env python3
"""Measure wherry beside other backup programs and beside this machine's limits.

README.md tells what is measured and how; run.sh is the way in.
"""

import argparse
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import care
import machine
import measure
import remote
import report
import sources
import tools

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(HERE, "results")

CASES = {
    "tree": ("a system's programs, libraries and data", "tree",
             ("first", "unchanged", "restore")),
    "random": ("one incompressible file", "random",
               ("first", "restore")),
    "block": ("an incompressible block image", "random",
              ("first", "unchanged", "unchanged, 1 CPU", "changed", "rescan",
               "restore")),
    "small": ("files of 100 bytes", "small",
              ("first", "unchanged", "restore")),
    "million": ("one directory with very many entries", "million",
                ("first", "unchanged", "restore")),
}
LARGE = {
    "five-million": ("empty files in very many directories",
                     "five-million",
                     ("first", "unchanged", "restore")),
    "index": ("beside millions of chunks in the index", "tree",
              ("first", "unchanged", "restore")),
}
LARGE_INDEX = 20000000
LARGE_MEMORY = "128M"
SETTLED = 2.5
REST = 65
# What was restored is kept until the end of its case if it takes less.
KEEP = 3 << 30
KEPT_BY_NOBODY = "root"
# What two file systems, or a program with another idea of a backup, may not
# agree on; names, types, links' targets and all content are left.
CONTENT_ONLY = ("root,mode,uid,gid,mtime,links,flags,project,xattrs,acl,"
                "security,trusted")


class Bench:
    def __init__(self, args, scratch):
        # As make has it: from the root of the project.
        out = os.path.realpath(os.path.join(HERE, "..", args.out))
        self.args = args
        self.scratch = scratch
        self.wherry = os.path.join(out, "wherry")
        self.treesum = os.path.join(out, "tests", "tools", "treesum")
        self.large_index = os.path.join(out, "bench", "large_index")
        self.large_history = os.path.join(out, "bench", "large_history")
        limits = os.path.join(out, "bench", "limits")
        for program in (self.wherry, self.treesum, self.large_index,
                        self.large_history, limits):
            if not os.access(program, os.X_OK):
                sys.exit("run.sh: no %s (make all benches tools)" %
                         os.path.relpath(program))
        self.failed = False
        self.limits = machine.Limits(self.wherry, limits, scratch, args.quick)
        self.tools = self.choose()
        self.result = {
            "date": report.today(), "machine": machine.about(),
            "machine_kind": machine.kind(), "quick": args.quick,
            "large": args.large, "version": revision(self.tools[0]),
            "programs": [t.name for t in self.tools],
            "limits_bytes_per_second": {
                k: round(v) for k, v in self.limits.speed.items()},
            "cases": {}, "rows": [],
        }

    def choose(self):
        """wherry, then the peers that were asked for or are here."""
        mine = tools.Wherry(self.wherry)
        if self.args.large:
            mine.options = ("--memory", LARGE_MEMORY)
        found = [] if self.args.large and not self.args.peer else \
            tools.find_peers()
        for p in self.args.peer or []:
            if "=" in p:
                kind, program = p.split("=", 1)
                if kind not in tools.PEERS:
                    sys.exit("run.sh: no peer is called %s (one of %s)" % (
                        kind, ", ".join(tools.PEERS)))
                t = tools.PEERS[kind](program)
                found = [f for f in found if f.name != t.name] + [t]
        wanted = [p.split("=", 1)[0] for p in self.args.peer or []]
        if wanted:
            found = [t for t in found if t.kind in wanted]
            for p in wanted:
                if p != "none" and not any(t.kind == p for t in found):
                    sys.exit("run.sh: no %s on PATH" % p)
        return [mine] + found

    # --- the ground between steps ------------------------------------------

    def digest(self, path, left_out):
        """The tree in one number; reads all of it, so it is warm then."""
        r = subprocess.run([self.treesum, "-x", left_out, path], text=True,
                           capture_output=True, check=False)
        return r.stdout.strip() if r.returncode == 0 else None

    def settle(self, drop=False):
        os.sync()
        if drop and not self.args.quick and os.geteuid() == 0:
            try:
                with open("/proc/sys/vm/drop_caches", "w",
                          encoding="ascii") as f:
                    f.write("3\n")
            except OSError:
                pass

    def rest(self, entries):
        """Wait until ext4 takes the inodes of what was removed as free again;
        until then it reads each before it makes a file, ten times as slow."""
        if entries > 50000 and not self.args.quick:
            os.sync()
            time.sleep(REST)

    @staticmethod
    def warm(path):
        """Read every file below."""
        for d, _, names in os.walk(path):
            for n in names:
                with open(os.path.join(d, n), "rb") as f:
                    while f.read(1 << 20):
                        pass

    # --- one case ------------------------------------------------------------

    def case(self, name, about, make, steps):
        source = os.path.join(self.scratch, "source", "data")
        say("%s: making %s" % (name, about))
        sources.make(make, source, self.args.quick)
        made = time.monotonic()
        known = self.limits.of_source(
            source, 0 if self.args.large else 2)
        # What changed a moment before it was read is read again next time.
        time.sleep(max(0.0, made + SETTLED - time.monotonic()))
        entries, size = known["walk"]["entries"], known["walk"]["bytes"]
        if name in ("random", "block"):
            about += ", %.3g GiB" % (size / 2 ** 30)
        else:
            about += ": %s entries, %.3g %s" % (
                "{:,}".format(entries), size / (1e9 if size > 1e9 else 1e6),
                "GB" if size > 1e9 else "MB")
        self.result["cases"][name] = {
            "about": about, "entries": entries, "bytes": size,
            "limits": known}
        for i, tool in enumerate(self.tools):
            tool.begin(os.path.join(self.scratch, "home"))
            try:
                self.settle(drop=True)
                self.one_tool(name, tool, source, steps)
            finally:
                tool.end()
            target = self.path("target")
            if entries * 4096 + size < KEEP and os.path.isdir(target):
                os.rename(target, self.path("kept-%d" % i))
                continue
            sources.remove(target)
            if i + 1 < len(self.tools):
                self.rest(entries)
        for i in range(len(self.tools)):
            sources.remove(self.path("kept-%d" % i))
        sources.remove(source)
        self.rest(entries)
        report.add_ratios(self.result["rows"])
        report.print_case(self.result["rows"], name, about)
        sys.stdout.flush()

    def care_case(self, name, about, make):
        """A case of care.py, which has steps of its own."""
        say("%s: %s" % (name, about))
        self.result["cases"][name] = {"about": about}
        about = make(self, name, about)
        self.result["cases"][name]["about"] = about
        report.add_ratios(self.result["rows"])
        report.print_case(self.result["rows"], name, about)
        sys.stdout.flush()

    def one_tool(self, case, tool, source, steps):
        for argv in tool.init():
            r = measure.run(argv, env=tool.env(), timeout=300,
                            log=self.path("log"))
            if r.code != 0:
                self.add(case, "first", tool, None, why=r.why())
                return
        if case == "index" and not tool.peer:
            self.fill_index(tool)
        image = os.path.join(source, "image")
        changes = [sources.Changes(image, seed) for seed in (1, 2)] \
            if case == "block" else []
        self.digest(source, KEPT_BY_NOBODY)
        told = {}
        try:
            for step in steps:
                if not self.step(case, step, tool, source, changes, told):
                    break
        finally:
            for c in changes:
                if c.applied:
                    c.toggle()

    def step(self, case, step, tool, source, changes, told):
        """Return False when the rest makes no sense."""
        image = os.path.join(source, "image")
        target = self.path("target")
        changed = self.path("changed")
        if step == "restore":
            os.mkdir(target)
            argv, cwd = tool.restore_image(image, target) \
                if case == "block" else tool.restore(source, target)
            self.warm(tool.repo)
        elif case == "block":
            if step in ("changed", "rescan"):
                c = changes[step == "rescan"]
                c.toggle()
                c.write_list(changed)
            else:
                os.utime(image)
            found = tool.backup_image(image, step, changed)
            if found is None:
                return True
            argv, cwd = found
            self.digest(source, KEPT_BY_NOBODY)
        else:
            argv, cwd = tool.backup(source, step)
        self.settle()
        before = tool.stored()
        r = measure.run(argv, env=tool.env(), cwd=cwd, log=self.path("log"),
                        timeout=self.args.timeout)
        if r.code != 0 or r.timed_out:
            self.add(case, step, tool, None, why=r.why())
            return False
        row = self.add(case, step, tool, r)
        if step != "restore":
            row["stored_bytes"] = tool.stored() - before
        if not tool.peer:
            self.own(case, step, row, r, told)
        if step == "restore":
            row["restored"] = self.verify(case, tool, source, target)
        return True

    def own(self, case, step, row, run, told):
        """What only wherry tells: bytes read and new; its bound."""
        known = self.result["cases"][case]
        o = tools.Wherry.summary(run.output)
        if step != "restore":
            row["read_bytes"] = o.get("read_bytes")
            row["new_bytes"] = o.get("new_bytes")
            row["way"] = o.get("way")
        if step == "first":
            told["new"] = o.get("new_bytes", 0)
            told["stored"] = row["stored_bytes"]
        new = told.get("new", 0) if step == "restore" else \
            o.get("new_bytes", 0)
        stored = told.get("stored", 0) if step == "restore" else \
            row["stored_bytes"]
        row["bound"] = machine.bound(
            case, step, self.limits, known["limits"], known["bytes"], new,
            stored, 1 if step.endswith("1 CPU") else 0)
        if case in ("random", "block"):
            row["throughput"] = round(known["bytes"] / row["wall_seconds"])

    def verify(self, case, tool, source, target):
        found = tool.restored(source, target)
        left_out = KEPT_BY_NOBODY
        exact = self.digest(source, left_out)
        if exact and exact == self.digest(found, left_out):
            return "exactly"
        left_out = CONTENT_ONLY
        if self.digest(source, left_out) == self.digest(found, left_out):
            if not tool.peer and case != "block":
                self.failed = True
            return "content"
        if not tool.peer:
            self.failed = True
        return "DIFFERS"

    def fill_index(self, tool):
        count = 200000 if self.args.quick else LARGE_INDEX
        say("index: storing %s chunks" % "{:,}".format(count))
        r = measure.run([self.large_index, tool.repo, str(count)],
                        env=tool.env(), timeout=self.args.timeout,
                        log=self.path("log"))
        if r.code != 0:
            sys.exit("run.sh: large_index %s" % r.why())
        made = json.loads(r.output.strip().split("\n")[-1])
        self.result["cases"]["index"]["index"] = made

    def add(self, case, step, tool, run, why=None):
        row = {"case": case, "step": step, "program": tool.name,
               "peer": tool.peer, "ok": run is not None, "why": why,
               "stored_bytes": None}
        if run is not None:
            row.update(wall_seconds=round(run.wall, 3),
                       cpu_seconds=round(run.cpu, 3),
                       rss_mib=round(run.rss_mib, 1))
        else:
            # A failure's text may name folders of this machine.
            row["why"] = why.replace(self.scratch, "SCRATCH")
            if not tool.peer:
                self.failed = True
        self.result["rows"].append(row)
        say("%s, %s, %s: %s" % (
            case, step, tool.name,
            "%.2f s" % run.wall if run else row["why"]))
        return row

    def path(self, name):
        return os.path.join(self.scratch, name)


def revision(mine):
    """The version, and the commit where there is one."""
    r = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"],
                       text=True, capture_output=True, check=False) \
        if shutil.which("git") else None
    commit = r.stdout.strip() if r and r.returncode == 0 else ""
    return " ".join(x for x in (mine.version, commit) if x)


def say(text):
    print("# " + text, file=sys.stderr, flush=True)


def parse():
    p = argparse.ArgumentParser(
        prog="run.sh", description="Measures wherry beside other backup "
        "programs and beside what this machine allows.", epilog="Peers: %s, "
        "each version that is on PATH. Takes about an hour and 20 GB of disk; "
        "--quick some minutes and 1 GB." % ", ".join(tools.PEERS))
    p.add_argument("--case", action="append", choices=[
        *CASES, *LARGE, *care.CASES, *care.LARGE, *remote.CASES],
                   help="only this case (may be repeated)")
    p.add_argument("--peer", action="append", metavar="NAME[=PROGRAM]",
                   help="only this peer (may be repeated); 'none': wherry "
                   "alone")
    p.add_argument("--quick", action="store_true",
                   help="small data: shows that it works, measures nothing; "
                   "kept nowhere unless --json names a file")
    p.add_argument("--large", action="store_true",
                   help="instead: 5 million entries, and an index of 20 "
                   "million chunks, with --memory %s" % LARGE_MEMORY)
    p.add_argument("--entries", type=int, metavar="N",
                   help="years: so many entries in the index (default 100 "
                   "million, which take 20 GB); dead: so many blobs")
    p.add_argument("--scratch", metavar="DIR",
                   help="where to work (default: TMPDIR or /tmp); what is "
                   "made there is removed")
    p.add_argument("--timeout", type=float, default=3600, metavar="S",
                   help="a step that takes longer is given up (default 3600)")
    p.add_argument("--json", metavar="FILE",
                   help="write the result there and not to bench/results")
    p.add_argument("--markdown", action="store_true",
                   help="measure nothing: print the newest result in "
                   "bench/results (or --json FILE) as a Markdown table")
    p.add_argument("--out", default=os.environ.get("O", "build"),
                   help="where the programs were built, from the root of "
                   "the project (default: O or build)")
    return p.parse_args()


def show_markdown(args):
    if args.json:
        with open(args.json, encoding="utf-8") as f:
            result = json.load(f)
    else:
        result = report.latest(RESULTS)
    if result is None:
        sys.exit("run.sh: no result in bench/results yet (make bench)")
    report.markdown(result)


def spread(path):
    """Let ext4 put each folder made here into another part of the disk, as it
    does at the top. Else all share the parts of the parent, and where many
    files were removed a moment ago, making one takes ten times as long."""
    get_flags, set_flags, topdir = 0x80086601, 0x40086602, 0x00020000
    fd = os.open(path, os.O_RDONLY)
    try:
        flags = struct.unpack("l", fcntl.ioctl(fd, get_flags, bytes(8)))[0]
        fcntl.ioctl(fd, set_flags, struct.pack("l", flags | topdir))
    except OSError:
        pass  # another file system
    finally:
        os.close(fd)


def leave(signum, _frame):
    sys.exit(128 + signum)


def main():
    args = parse()
    if args.markdown:
        show_markdown(args)
        return 0
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, leave)
    if args.scratch:
        os.makedirs(args.scratch, exist_ok=True)
    scratch = os.path.realpath(tempfile.mkdtemp(prefix="wherry-bench-",
                                                dir=args.scratch))
    try:
        spread(scratch)
        os.mkdir(os.path.join(scratch, "source"))
        bench = Bench(args, scratch)
        for name, what in (LARGE if args.large else CASES).items():
            if not args.case or name in args.case:
                bench.case(name, *what)
        for name, what in (care.LARGE if args.large else care.CASES).items():
            if not args.case or name in args.case:
                bench.care_case(name, *what)
        for name, what in remote.CASES.items():
            if args.case and name in args.case:
                bench.care_case(name, *what)
        print()
        report.print_limits(bench.result)
        if args.json or not args.quick:
            path = report.save(bench.result, RESULTS, args.json)
            print("written to %s" % os.path.relpath(path))
        if bench.failed:
            print("NOT ALL IS WELL: a step of wherry failed or restored "
                  "something else")
        return 1 if bench.failed else 0
    finally:
        measure.stop_all()
        # Read-only directories that were restored can be removed by root.
        subprocess.run(["rm", "-rf", scratch], check=False)


if __name__ == "__main__":
    sys.exit(main())
