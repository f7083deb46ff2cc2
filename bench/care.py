"""Years: what forgetting, collecting, merging and checking take.

Three cases, each with steps of its own, so they are not in the pattern of
run.py's other cases; results go the same way.
"""

import json
import os
import random
import subprocess
import threading
import time

import measure
import sources

MEMORY = "512M"
BACKUPS = 30
KEEP = 5
BLOB = 4096
CHAIN = 100  # snapshots of a volume, as large_history makes them
SETTLED = 2.5


def summary(output, message):
    """The last JSON object of that message type, or {}."""
    found = {}
    for line in output.split("\n"):
        try:
            o = json.loads(line)
        except ValueError:
            continue
        if isinstance(o, dict) and o.get("message_type") == message:
            found = o
    return found


def run(bench, tool, argv, cwd=None):
    os.sync()
    return measure.run(argv, env=tool.env(), cwd=cwd, log=bench.path("log"),
                       timeout=bench.args.timeout)


def begin(bench, tool):
    tool.begin(os.path.join(bench.scratch, "home"))
    for argv in tool.init():
        r = run(bench, tool, argv)
        if r.code != 0:
            return r.why()
    return None


# --- years: cost at size -------------------------------------------------------


def years(bench, name, about):
    """Wherry alone, on a repository with years behind it."""
    mine = bench.tools[0]
    entries = bench.args.entries or (200000 if bench.args.quick
                                     else 100000000)
    snapshots = max(20, min(10000, entries // 10000))
    source = os.path.join(bench.scratch, "source", "data")
    sources.make("small", source, True)
    why = begin(bench, mine)
    try:
        if why is None:
            why = years_steps(bench, name, mine, entries, snapshots, source)
    finally:
        mine.end()
        sources.remove(source)
    if why is not None:
        bench.add(name, "made", mine, None, why=why)
    return "%s: %s entries, %s snapshots, --memory %s" % (
        about, "{:,}".format(entries), "{:,}".format(snapshots), MEMORY)


def years_steps(bench, name, mine, entries, snapshots, source):
    r = run(bench, mine, [bench.large_history, mine.repo, str(entries),
                          str(snapshots), "1024"])
    if r.code != 0:
        return r.why()
    made = summary_of_maker(r.output)
    row = bench.add(name, "made", mine, r)
    row["stored_bytes"] = mine.stored()
    row["note"] = "%s chunks in %s pages of maps; %.1f s of it for merging " \
        "%s entries" % ("{:,}".format(made["chunks"]),
                        "{:,}".format(made["pages"]), made["merge_seconds"],
                        "{:,}".format(made["entries_merged"]))
    m = ["--memory", MEMORY]
    keep = str(min(CHAIN, snapshots) * 7 // 10)
    backup = ["backup", "--json", *m, source]
    for step, argv, cold in (
            ("backup, index as it is", backup, True),
            ("upkeep: merge, gc", ["upkeep", "--no-check", "--json", *m],
             False),
            ("backup, index merged", backup, True),
            ("check", ["check", *m], True),
            ("forget", ["forget", "--quiet", "--keep-last", keep, *m], False),
            ("gc", ["gc", "--json", *m], True),
            ("check after gc", ["check", *m], True)):
        bench.settle(drop=cold)
        before = mine.stored()
        r = run(bench, mine, [mine.program, *argv])
        if r.code != 0 or r.timed_out:
            bench.add(name, step, mine, None, why=r.why())
            return None
        row = bench.add(name, step, mine, r)
        row["stored_bytes"] = mine.stored() - before
        row["per_million"] = round(r.wall / (entries / 1e6), 3)
        row["note"] = "%.3f s for a million entries" % row["per_million"]
        parts = upkeep_parts(r.output) if step.startswith("upkeep") else ""
        row["note"] += parts
    return None


def summary_of_maker(output):
    return json.loads(output.strip().split("\n")[-1])


def upkeep_parts(output):
    text = ""
    for line in output.split("\n"):
        try:
            o = json.loads(line)
        except ValueError:
            continue
        if isinstance(o, dict) and o.get("message_type") == "step_end":
            text += "; %s %.2f s" % (o["step"], o["seconds"])
    return text


# --- history: the same one for all ------------------------------------------------


class Tree:
    """A tree that changes from day to day, the same way for every program."""

    def __init__(self, path, quick):
        self.path, self.quick = path, quick
        self.files = 60 if quick else 3000
        self.rand = random.Random(7)
        self.names = []
        for i in range(self.files):
            d = os.path.join(path, "d%d" % (i % 50))
            os.makedirs(d, exist_ok=True)
            self.names.append(os.path.join(d, "f%d" % i))
            self.write(self.names[-1])

    def write(self, name):
        """Half of the bytes can be compressed."""
        size = int(self.rand.lognormvariate(11.5, 1.3))
        size = min(size, 8 << 20)
        text = b"%d is a line of text that comes again\n" * 40
        with open(name, "wb") as f:
            while size > 0:
                n = min(size, 32768)
                f.write(self.rand.randbytes(n // 2))
                f.write((text % ((self.rand.randrange(1 << 30),) * 40))
                        [:n - n // 2])
                size -= n

    def next_day(self):
        """3 % of the files are written anew, some change a part, some go."""
        for name in self.rand.sample(self.names, max(2, self.files // 33)):
            self.write(name)
        for name in self.rand.sample(self.names, max(2, self.files // 100)):
            with open(name, "r+b") as f:
                f.seek(0, 2)
                f.seek(self.rand.randrange(max(1, f.tell())))
                f.write(self.rand.randbytes(1000))
        gone = self.rand.randrange(len(self.names))
        os.unlink(self.names[gone])
        self.names[gone] += "x"
        self.write(self.names[gone])


def history(bench, name, about):
    """30 backups, then all but the last 5 forgotten and collected."""
    source = os.path.join(bench.scratch, "source", "data")
    for tool in bench.tools:
        if not hasattr(tool, "forget_steps"):
            continue
        why = begin(bench, tool)
        try:
            tree = Tree(source, bench.args.quick)
            if why is None:
                why = history_steps(bench, name, tool, tree)
            if why is not None:
                bench.add(name, "%d backups" % BACKUPS, tool, None, why=why)
        finally:
            tool.end()
            sources.remove(source)
            sources.remove(bench.path("target"))
    return "%s: %d days, then the last %d are kept" % (about, BACKUPS, KEEP)


def together(runs):
    """Several runs as one: times added up, the highest peak."""
    all_of = runs[0]
    return measure.Run(sum(r.wall for r in runs), sum(r.cpu for r in runs),
                       max(r.rss_mib for r in runs), runs[-1].code,
                       any(r.timed_out for r in runs), all_of.output)


def history_steps(bench, name, tool, tree):
    backups = []
    for day in range(BACKUPS):
        if day > 0:
            tree.next_day()
        bench.digest(tree.path, "root")
        if not bench.args.quick:
            # What changed a moment before it is read is read again next day.
            time.sleep(SETTLED)
        argv, cwd = tool.backup(tree.path, "day")
        r = run(bench, tool, argv, cwd)
        if r.code != 0:
            return r.why()
        backups.append(r)
    row = bench.add(name, "%d backups" % BACKUPS, tool, together(backups))
    before = row["stored_bytes"] = tool.stored()
    collects = []
    for argv in tool.forget_steps(KEEP):
        r = run(bench, tool, argv)
        if r.code != 0:
            return r.why()
        collects.append(r)
    row = bench.add(name, "forget, collect", tool, together(collects))
    row["stored_bytes"] = tool.stored() - before
    row["note"] = "%.1f MB freed, %.1f MB left" % (
        -row["stored_bytes"] / 1e6, tool.stored() / 1e6)
    target = bench.path("target")
    os.mkdir(target)
    argv, cwd = tool.restore(tree.path, target)
    r = run(bench, tool, argv, cwd)
    if r.code != 0:
        return r.why()
    row = bench.add(name, "restore", tool, r)
    row["restored"] = bench.verify(name, tool, tree.path, target)
    return None


# --- dead: gc beside the limits that were set for it --------------------------------


def dead(bench, name, about):
    """2 million blobs of which 10 % are dead; a backup beside gc."""
    mine = bench.tools[0]
    entries = bench.args.entries or (20000 if bench.args.quick else 2000000)
    source = os.path.join(bench.scratch, "source", "data")
    os.makedirs(source)
    with open(os.path.join(source, "image"), "wb") as f:
        f.truncate(16 << 20 if bench.args.quick else 1 << 30)
    why = begin(bench, mine)
    try:
        if why is None:
            why = dead_steps(bench, name, mine, entries, source)
    finally:
        mine.end()
        sources.remove(source)
    if why is not None:
        bench.add(name, "made", mine, None, why=why)
    return "%s: %s blobs of %d KiB" % (about, "{:,}".format(entries),
                                       BLOB >> 10)


def read_packs(repo, percent):
    """Read so much of all packs by plain calls; seconds and bytes."""
    names = []
    for d, _, files in os.walk(os.path.join(repo, "packs")):
        names += [os.path.join(d, f) for f in files]
    random.Random(1).shuffle(names)
    start, total = time.monotonic(), 0
    for n in names[:len(names) * percent // 100]:
        with open(n, "rb", buffering=0) as f:
            while True:
                piece = f.read(1 << 20)
                if not piece:
                    break
                total += len(piece)
    return time.monotonic() - start, total


def fresh_image(source, seed):
    """New bytes: nothing of them is in the repository."""
    left = os.path.getsize(os.path.join(source, "image"))
    rand = random.Random(seed)
    with open(os.path.join(source, "image"), "wb") as f:
        while left > 0:
            n = min(left, 16 << 20)
            f.write(rand.randbytes(n))
            left -= n


def one_backup(bench, mine, source, seed):
    fresh_image(source, seed)
    bench.digest(source, "root")
    return run(bench, mine, [mine.program, "backup", "--json", source])


def dead_steps(bench, name, mine, entries, source):
    r = run(bench, mine, [bench.large_history, mine.repo, str(entries), "100",
                          "512", str(BLOB)])
    if r.code != 0:
        return r.why()
    bench.add(name, "made", mine, r)["stored_bytes"] = mine.stored()
    alone = [one_backup(bench, mine, source, seed) for seed in (1, 2, 3)]
    row = bench.add(name, "backup alone", mine,
                    min(alone, key=lambda x: x.wall))
    best = row["wall_seconds"]
    beside = None
    with Collector(bench, mine) as collector:
        for seed in (4, 5, 6):
            r = one_backup(bench, mine, source, seed)
            if r.code != 0:
                return r.why()
            if beside is None or r.wall < beside.wall:
                beside = r
    row = bench.add(name, "backup beside gc", mine, beside)
    slower = beside.wall / best - 1
    row["note"] = "%.0f %% slower than alone, %d collections meanwhile " \
        "(limit: 20 %%)" % (100 * slower, collector.count)
    row["limit"] = {"slower": round(slower, 3), "most": 0.2}
    r = run(bench, mine, [mine.program, "forget", "--quiet", "--volume",
                          "volume-0", "--keep-last", "50"])
    if r.code != 0:
        return r.why()
    bench.settle(drop=True)
    seconds, size = read_packs(mine.repo, 20)
    bench.settle(drop=True)
    before = mine.stored()
    r = run(bench, mine, [mine.program, "gc", "--json"])
    if r.code != 0:
        return r.why()
    row = bench.add(name, "gc", mine, r)
    row["stored_bytes"] = mine.stored() - before
    row["limit"] = {"seconds": round(r.wall, 3), "most": round(seconds, 3)}
    row["note"] = "reading 20 %% of the packs (%.2f GB) by plain calls: " \
        "%.2f s, with blobs of 64 KiB %.1f s (limit: gc takes less)" % (
            size / 1e9, seconds, seconds * 65536 / BLOB)
    return None


class Collector:
    """Collections one after the other, until told to stop."""

    def __init__(self, bench, mine):
        self.argv = [mine.program, "gc", "--quiet", "--dry-run"]
        self.env = mine.env()
        self.count = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.work)
        del bench

    def work(self):
        while not self.ending.is_set():
            p = subprocess.Popen(self.argv, env=self.env,
                                 stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL)
            while p.poll() is None:
                if self.ending.wait(0.02):
                    p.terminate()
                    p.wait()
            self.count += 1

    def __enter__(self):
        self.thread.start()
        time.sleep(0.2)
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()


CASES = {
    "history": ("a tree that changes from day to day", history),
    "dead": ("gc and what it is held to", dead),
}
LARGE = {"years": ("years of many volumes", years)}
