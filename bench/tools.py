"""The programs that are measured: how each is told to do the same thing.

Each has its repository, caches and configuration in fresh folders under
`home`. Defaults everywhere, but zstd for kopia, which compresses nothing
without a policy, and for borg, whose default is lz4.
"""

import json
import os
import re
import subprocess

PASS = "measured"


class Tool:
    kind = ""
    peer = True
    says_version = ("--version",)

    def __init__(self, program):
        self.program = program
        text = subprocess.run([program, *self.says_version], text=True,
                              capture_output=True, check=False, timeout=30,
                              stdin=subprocess.DEVNULL).stdout
        found = re.search(r"\d+\.\d+(?:\.\d+)?\S*", text)
        self.version = found.group(0).rstrip(",") if found else "unknown"
        self.name = "%s %s" % (self.kind, self.version)
        self.home = self.repo = ""

    def begin(self, home):
        """Take an empty folder."""
        self.home = home
        self.repo = os.path.join(home, "repository")
        os.makedirs(home)

    def env(self):
        e = {k: v for k, v in os.environ.items()
             if not re.match("WHERRY_|RESTIC_|RUSTIC_|KOPIA_|BORG_|XDG_", k)}
        e.update(HOME=self.home, XDG_CACHE_HOME=self.home + "/cache",
                 XDG_CONFIG_HOME=self.home + "/config", LC_ALL="C.UTF-8")
        e.update(self.own_env())
        return e

    def own_env(self):
        return {}

    # Each step is (argv, folder to run it in or None).

    def init(self):
        """The commands that make a repository."""
        raise NotImplementedError

    def backup(self, source, step):
        raise NotImplementedError

    def restore(self, source, target):
        raise NotImplementedError

    def backup_image(self, image, step, changed=None):
        """A block image; None where the step makes no sense for this one."""
        if step == "unchanged, 1 CPU":
            return None
        return self.backup(os.path.dirname(image), step)

    def restore_image(self, image, target):
        return self.restore(os.path.dirname(image), target)

    def restored(self, source, target):
        """Where in the target the source came back."""
        for path in (target + source,
                     os.path.join(target, os.path.basename(source))):
            if os.path.isdir(path):
                return path
        return target

    def stored(self):
        """Bytes in the repository."""
        total = 0
        for d, _, names in os.walk(self.repo):
            for n in names:
                total += os.lstat(os.path.join(d, n)).st_size
        return total

    def end(self):
        subprocess.run(["rm", "-rf", self.home], check=False)


class Wherry(Tool):
    kind = "wherry"
    peer = False
    says_version = ("version",)
    options = ()

    def own_env(self):
        return {"WHERRY_REPOSITORY": self.repo, "WHERRY_PASSWORD": PASS}

    def init(self):
        return [[self.program, "init", "--quiet"]]

    def backup(self, source, step):
        return [self.program, "backup", "--json", *self.options, source], None

    def restore(self, source, target):
        return [self.program, "restore", "--json", "latest", "-t", target,
                *self.options], None

    def backup_image(self, image, step, changed=None):
        argv = [self.program, "backup", "--json", "--volume", "image",
                "--device", image]
        if step == "unchanged, 1 CPU":
            argv += ["--cpus", "1"]
        if step == "changed":
            argv += ["--changed", changed]
        return argv, None

    def restore_image(self, image, target):
        return [self.program, "restore", "--json", "latest", "-t",
                os.path.join(target, os.path.basename(image))], None

    def restored(self, source, target):
        return target

    def forget_steps(self, keep):
        return [[self.program, "forget", "--quiet", "--keep-last", str(keep)],
                [self.program, "gc", "--quiet"]]

    @staticmethod
    def summary(output):
        """The object that tells what a backup did."""
        for line in reversed(output.split("\n")):
            try:
                o = json.loads(line)
            except ValueError:
                continue
            if isinstance(o, dict) and o.get("message_type") == "summary":
                return o
        return {}


class Restic(Tool):
    kind = "restic"
    says_version = ("version",)

    def own_env(self):
        return {"RESTIC_REPOSITORY": self.repo, "RESTIC_PASSWORD": PASS,
                "RESTIC_CACHE_DIR": self.home + "/cache"}

    def init(self):
        return [[self.program, "init"]]

    def backup(self, source, step):
        return [self.program, "backup", "--quiet", source], None

    def restore(self, source, target):
        return [self.program, "restore", "latest", "--quiet", "--target",
                target], None


    def forget_steps(self, keep):
        return [[self.program, "forget", "--quiet", "--prune", "--keep-last",
                 str(keep)]]


class Rustic(Tool):
    kind = "rustic"

    def own_env(self):
        return {"RUSTIC_REPOSITORY": self.repo, "RUSTIC_PASSWORD": PASS,
                "RUSTIC_CACHE_DIR": self.home + "/cache",
                "RUSTIC_NO_PROGRESS": "true"}

    def init(self):
        return [[self.program, "init"]]

    def backup(self, source, step):
        return [self.program, "backup", source], None

    def restore(self, source, target):
        return [self.program, "restore", "latest", target], None


    def forget_steps(self, keep):
        return [[self.program, "forget", "--prune", "--instant-delete",
                 "--keep-last", str(keep)]]


class Borg(Tool):
    kind = "borg"

    def begin(self, home):
        super().begin(home)
        self.count = 0

    def own_env(self):
        return {"BORG_REPO": self.repo, "BORG_PASSPHRASE": PASS,
                "BORG_BASE_DIR": self.home}

    def init(self):
        return [[self.program, "init", "-e", "repokey-blake2"]]

    def backup(self, source, step):
        self.count += 1
        return [self.program, "create", "-C", "zstd,3",
                "::n%d" % self.count, source], None

    def restore(self, source, target):
        return [self.program, "extract", "::n%d" % self.count], target


    def forget_steps(self, keep):
        return [[self.program, "prune", "--keep-last", str(keep)],
                [self.program, "compact"]]


class Kopia(Tool):
    kind = "kopia"

    def own_env(self):
        return {"KOPIA_PASSWORD": PASS, "KOPIA_CHECK_FOR_UPDATES": "false",
                "KOPIA_CONFIG_PATH": self.home + "/kopia.config",
                "KOPIA_CACHE_DIRECTORY": self.home + "/cache",
                "KOPIA_LOG_DIR": self.home + "/log"}

    def init(self):
        os.makedirs(self.repo)
        return [[self.program, "repository", "create", "filesystem",
                 "--path", self.repo, "--cache-directory",
                 self.home + "/cache"],
                [self.program, "policy", "set", "--global",
                 "--compression=zstd"]]

    def backup(self, source, step):
        return [self.program, "snapshot", "create", "--no-progress",
                source], None

    def restore(self, source, target):
        out = subprocess.run([self.program, "snapshot", "list", "--json",
                              source], env=self.env(), text=True,
                             capture_output=True, check=True).stdout
        last = max(json.loads(out), key=lambda s: s["startTime"])
        return [self.program, "restore", "--no-progress",
                last["rootEntry"]["obj"], target], None

    def forget_steps(self, keep):
        none = ["--keep-%s=0" % x for x in ("hourly", "daily", "weekly",
                                            "monthly", "annual")]
        # Without safety it gives back at once what others wait with a day.
        return [[self.program, "policy", "set", "--global",
                 "--keep-latest=%d" % keep, *none],
                [self.program, "snapshot", "expire", "--all", "--delete"],
                *2 * [[self.program, "maintenance", "run", "--full",
                       "--safety=none"]]]


PEERS = {c.kind: c for c in (Restic, Rustic, Kopia, Borg)}


def find_peers():
    """Each version of each peer that is on PATH, once."""
    found = {}
    for kind, cls in PEERS.items():
        for d in os.environ.get("PATH", "").split(":"):
            path = os.path.join(d or ".", kind)
            if os.path.isfile(path) and os.access(path, os.X_OK):
                try:
                    t = cls(path)
                except (OSError, subprocess.TimeoutExpired):
                    continue
                found.setdefault(t.name, t)
    return list(found.values())
