"""An object store in place of a disk: MinIO on this machine.

Near: over TLS, nothing between. Far: the same store behind tests/tools/badproxy,
which adds 50 ms to each request, without TLS, which it cannot look into. Each
program keeps its repository in a bucket of its own. The store shares the
processors, so its own CPU time is told beside each step.
"""

import os
import sys

import measure
import sources

HERE = os.path.dirname(os.path.abspath(__file__))
FAR_MS = 50
# What was restored is kept until the end if it takes less.
KEEP = 512 << 20
TICK = os.sysconf("SC_CLK_TCK")


def servers():
    """The stores and the proxy of the tests; they find tools by TOOLS."""
    path = os.path.realpath(os.path.join(HERE, "..", "tests", "servers"))
    if path not in sys.path:
        sys.path.insert(0, path)
    import proxy
    import store
    return store, proxy


# --- how each program is told of a bucket --------------------------------------------


class Place:
    """A bucket as programs reach it."""

    def __init__(self, store, bucket, port=None):
        self.bucket = bucket
        self.env = {k: store.env[k] for k in (
            "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")}
        self.host = "127.0.0.1:%d" % (port or store.port)
        self.ca = store.env.get("STORE_CA")
        self.url = store.url(bucket, port=port)


def remote(tool):
    """A class like the tool's own, whose repository is in a bucket."""

    class Remote(REMOTE[tool.kind], type(tool)):
        place = None

        def own_env(self):
            return {**super().own_env(), **self.place.env, **self.there()}

        def stored(self):
            return 0

    return Remote(tool.program)


class WherryThere:
    def there(self):
        return {"WHERRY_REPOSITORY": self.place.url}

    def init(self):
        return [[self.program, "init", "--quiet", *self.trust()]]

    def trust(self):
        return ["--ca-file", self.place.ca] if self.place.ca else []

    def backup(self, source, step):
        argv, cwd = super().backup(source, step)
        return argv + self.trust(), cwd

    def restore(self, source, target):
        argv, cwd = super().restore(source, target)
        return argv + self.trust(), cwd

    def one_file(self, source, path, target):
        return [self.program, "restore", "--json", "latest:" + os.path.relpath(
            path, source), "-t", target, *self.trust()]


class ResticThere:
    def there(self):
        return {"RESTIC_REPOSITORY": "s3:%s://%s/%s" % (
            "https" if self.place.ca else "http", self.place.host,
            self.place.bucket)}

    def trust(self, argv):
        """Older versions take no variable for it."""
        return argv + (["--cacert", self.place.ca] if self.place.ca else [])

    def init(self):
        return [self.trust(argv) for argv in super().init()]

    def backup(self, source, step):
        argv, cwd = super().backup(source, step)
        return self.trust(argv), cwd

    def restore(self, source, target):
        argv, cwd = super().restore(source, target)
        return self.trust(argv), cwd

    def one_file(self, source, path, target):
        return self.trust([self.program, "restore", "latest", "--quiet",
                           "--target", target, "--include", path])


class KopiaThere:
    def there(self):
        return {}

    def init(self):
        argv = [self.program, "repository", "create", "s3", "--bucket",
                self.place.bucket, "--endpoint", self.place.host,
                "--access-key", self.place.env["AWS_ACCESS_KEY_ID"],
                "--secret-access-key", self.place.env["AWS_SECRET_ACCESS_KEY"],
                "--region", self.place.env["AWS_REGION"],
                "--cache-directory", self.home + "/cache"]
        argv += ["--root-ca-pem-path", self.place.ca] if self.place.ca else \
            ["--disable-tls"]
        return [argv, [self.program, "policy", "set", "--global",
                       "--compression=zstd"]]

    def one_file(self, source, path, target):
        argv, _ = self.restore(source, target)
        return argv[:-2] + [argv[-2] + "/" + os.path.relpath(path, source),
                            os.path.join(target, os.path.basename(path))]


REMOTE = {"wherry": WherryThere, "restic": ResticThere, "kopia": KopiaThere}


# --- what the store did --------------------------------------------------------------


def cpu_of(pid):
    """Seconds of CPU that a process took until now."""
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        words = f.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / TICK


def bytes_of(path):
    total = 0
    for d, _, names in os.walk(path):
        for n in names:
            try:
                total += os.lstat(os.path.join(d, n)).st_size
            except OSError:
                pass  # it is the store's, and may go
    return total


class Watch:
    """What the store and the network did during a step."""

    def __init__(self, store, proxy):
        self.store, self.proxy = store, proxy
        self.cpu = cpu_of(store.process.pid)
        if proxy:
            proxy.reset()

    def tell(self, row):
        row["store_cpu_seconds"] = round(
            cpu_of(self.store.process.pid) - self.cpu, 2)
        words = ["the store's own CPU %.1f s" % row["store_cpu_seconds"]]
        if self.proxy:
            s = self.proxy.stats()
            row["requests"] = s["requests"]
            row["round_trips"] = s["longest_chain"]
            words.append("%d requests, %d one after another" % (
                row["requests"], row["round_trips"]))
        row["note"] = "; ".join(words)


# --- the case ---------------------------------------------------------------------------


def pick(source):
    """A file of about 1 MiB, the same for all."""
    found = []
    for d, _, names in os.walk(source):
        for n in names:
            p = os.path.join(d, n)
            if not os.path.islink(p) and os.path.isfile(p):
                found.append((abs(os.path.getsize(p) - (1 << 20)), p))
    return min(found)[1]


def s3(bench, name, about):
    """First, unchanged, restore: on disk, near, far; one file from afar."""
    os.environ["TOOLS"] = os.path.dirname(bench.treesum)
    store, proxy = servers()
    source = os.path.join(bench.scratch, "source", "data")
    sources.make("tree", source, bench.args.quick)
    size = sum(os.lstat(os.path.join(d, n)).st_size
               for d, _, names in os.walk(source) for n in names)
    try:
        local(bench, name, source)
        with store.Store("minio", tls="good", place_in=bench.scratch) as s:
            for i, tool in enumerate(bench.tools):
                steps(bench, name, "near", tool, source,
                      Place(s, "near%d" % i), s, None)
        with store.Store("minio", place_in=bench.scratch) as s, \
                proxy.Proxy(s) as p:
            p.rules("latency ms=%d" % FAR_MS)
            for i, tool in enumerate(bench.tools):
                steps(bench, name, "far", tool, source,
                      Place(s, "far%d" % i, p.port), s, p)
    except store.Missing as why:
        bench.add(name, "near, first", bench.tools[0], None, why=str(why))
    finally:
        sources.remove(source)
        for n in os.listdir(bench.scratch):
            if n.startswith("target"):
                sources.remove(bench.path(n))
    compare(bench, name)
    return "%s: %.3g GB; near: TLS, 0 ms; far: %d ms a request" % (
        about, size / 1e9, FAR_MS)


def local(bench, name, source):
    """Wherry alone in a directory, to compare with."""
    mine = bench.tools[0]
    mine.begin(os.path.join(bench.scratch, "home"))
    try:
        for argv in mine.init():
            measure.run(argv, env=mine.env(), log=bench.path("log"))
        for step in ("first", "unchanged"):
            bench.digest(source, "root")
            bench.settle()
            r = measure.run(mine.backup(source, step)[0], env=mine.env(),
                            log=bench.path("log"), timeout=bench.args.timeout)
            if r.code != 0:
                bench.add(name, "disk, " + step, mine, None, why=r.why())
                return
            bench.add(name, "disk, " + step, mine, r)
    finally:
        mine.end()


def steps(bench, name, where, tool, source, place, store, proxy):
    if tool.kind not in REMOTE:
        return
    there = remote(tool)
    there.place = place
    there.begin(os.path.join(bench.scratch, "home"))
    target = bench.path("target")
    picked = pick(source)
    try:
        # Those that make no bucket find one.
        os.makedirs(os.path.join(store.data, place.bucket), exist_ok=True)
        for argv in there.init():
            r = measure.run(argv, env=there.env(), log=bench.path("log"),
                            timeout=300)
            if r.code != 0:
                bench.add(name, where + ", first", tool, None, why=r.why())
                return
        for step in ("first", "unchanged", "one file", "one file, no cache",
                     "restore"):
            if step.startswith("one") and not proxy:
                continue
            fresh_target(bench, target)
            if step in ("first", "unchanged"):
                bench.digest(source, "root")
                argv, cwd = there.backup(source, step)
            elif step == "restore":
                argv, cwd = there.restore(source, target)
            else:
                if step.endswith("cache"):
                    drop_cache(there)
                argv, cwd = there.one_file(source, picked, target), None
            before = bytes_of(store.data)
            bench.settle()
            watch = Watch(store, proxy)
            r = measure.run(argv, env=there.env(), cwd=cwd,
                            log=bench.path("log"), timeout=bench.args.timeout)
            if r.code != 0 or r.timed_out:
                bench.add(name, "%s, %s" % (where, step), tool, None,
                          why=r.why())
                return
            row = bench.add(name, "%s, %s" % (where, step), tool, r)
            watch.tell(row)
            if step in ("first", "unchanged"):
                row["stored_bytes"] = bytes_of(store.data) - before
            elif step == "restore":
                row["restored"] = bench.verify(name, tool, source, target)
    finally:
        there.end()
        sources.remove(os.path.join(store.data, place.bucket))


def fresh_target(bench, target):
    """An empty folder. What was there goes away only if it is large: making
    files where many were just removed is slow for all (see run.py)."""
    if os.path.isdir(target):
        size = bytes_of(target)
        if size < KEEP:
            os.rename(target, "%s-kept-%d" % (target, len(bench.result["rows"])))
        else:
            sources.remove(target)
            bench.rest(1 << 20)
    os.mkdir(target)


def drop_cache(tool):
    """Forget what was kept of the store, but not how it is reached."""
    sources.remove(os.path.join(tool.home, "cache"))


def compare(bench, name):
    """Our own steps beside the same on a disk."""
    rows = {r["step"]: r for r in bench.result["rows"]
            if r["case"] == name and not r["peer"] and r["ok"]}
    disk = rows.get("disk, first")
    cores = os.cpu_count() or 1
    for step in ("near, first", "far, first"):
        r = rows.get(step)
        if not disk or not r:
            continue
        clean = r["wall_seconds"] - r["store_cpu_seconds"] / cores
        r["of_disk"] = {
            "raw": round(disk["wall_seconds"] / r["wall_seconds"], 3),
            "without_store": round(disk["wall_seconds"] / clean, 3)
            if clean > 0 else None}
        r["note"] += "; %.0f %% of the speed on disk, %.0f %% when the " \
            "store's CPU time is taken off" % (
                100 * r["of_disk"]["raw"],
                100 * (r["of_disk"]["without_store"] or 0))


CASES = {"s3": ("a system's files in MinIO", s3)}
