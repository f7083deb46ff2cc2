"""What this machine allows: speeds of the parts, and bounds made of them."""

import json
import os
import re
import subprocess


def cores():
    return len(os.sched_getaffinity(0))


def kind():
    """What sort of machine this is, without its name: for file names."""
    model = os.uname().machine
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        m = re.search(r"^model name\s*: (.*)$", f.read(), re.M)
    if m:
        model = re.sub(r"\(.*?\)|@.*|\bCPU\b|\bProcessor\b", " ", m.group(1))
    model = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    return "%s-%dcpu" % (model, cores())


def about():
    """The machine in words, for the report."""
    model = flags = ""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        text = f.read()
    m = re.search(r"^model name\s*: (.*)$", text, re.M)
    if m:
        model = m.group(1).strip()
    m = re.search(r"^(?:flags|Features)\s*: (.*)$", text, re.M)
    if m:
        have = set(m.group(1).split())
        flags = " ".join(x for x in ("sha_ni", "sha2", "aes", "vaes",
                                     "avx512f") if x in have)
    with open("/proc/meminfo", encoding="utf-8") as f:
        kib = int(re.search(r"^MemTotal:\s*(\d+)", f.read(), re.M).group(1))
    return {"cpu": model or os.uname().machine, "cpu_features": flags,
            "cores": cores(), "memory_gib": round(kib / 2 ** 20),
            "kernel": os.uname().release}


class Limits:
    """Speeds are bytes a second of one core; times are CPU seconds."""

    def __init__(self, wherry, program, scratch, quick):
        self.program = program
        self.scratch = scratch
        self.speed = {}
        self._stages(wherry, quick)
        disk = self._ask("disk", os.path.join(scratch, "disk"),
                         str((64 << 20) if quick else (2 << 30)))
        self.speed["disk_write"] = disk["write_bytes_per_second"]
        self.speed["disk_read"] = disk["read_bytes_per_second"]

    def _ask(self, *args):
        out = subprocess.run([self.program, *args], check=True, text=True,
                             capture_output=True).stdout
        return json.loads(out)

    def _stages(self, wherry, quick):
        """The stages in memory, by `wherry bench`: the best path of each."""
        out = subprocess.run(
            [wherry, "bench", "--json", "--size", "4M" if quick else "64M"],
            check=True, text=True, capture_output=True).stdout
        for line in out.split("\n"):
            o = json.loads(line) if line else {}
            if o.get("message_type") != "speed" or o["stage"] == "whole":
                continue
            if o["stage"] == "compress":
                continue  # of the tree itself, below
            self.speed[o["stage"]] = max(self.speed.get(o["stage"], 0),
                                         o["bytes_per_second"])

    def of_source(self, path, tries):
        """What it takes to walk, read and write this source; writing is tried
        so often, and the best counts: where its folder falls matters."""
        found = {"walk": self._ask("walk", path),
                 "read": self._ask("read", path)}
        targets = [os.path.join(self.scratch, "written-%d" % i)
                   for i in range(tries)]
        for target in targets:
            os.mkdir(target)
            w = self._ask("write", path, target)
            if "write" not in found or \
                    w["cpu_seconds"] < found["write"]["cpu_seconds"]:
                found["write"] = w
        for target in targets:
            subprocess.run(["rm", "-rf", target], check=True)
        zipped = self._ask("zip", path)
        found["pack"] = zipped["pack_bytes_per_second"]
        found["unpack"] = zipped["unpack_bytes_per_second"]
        return found


def seconds(n, speed):
    return n / speed if speed else 0.0


def bound(case, step, limits, source, plain, new, stored, ran_on):
    """The least seconds that a step can take here, and what they are made of:
    CPU seconds by part, divided by the cores, or the disk's where it is
    slower. None where the step has no such bound.

    plain: bytes of the source; new: of chunks not there before; stored: that
    they take in the repository.
    """
    s = limits.speed
    parts = {}
    image = case == "block"
    if step == "restore":
        if "write" not in source:
            return None
        parts["write"] = source["write"]["cpu_seconds"]
        parts["open"] = seconds(stored, s["open"])
        parts["unpack"] = seconds(new, source["unpack"])
        parts["ids"] = seconds(plain, s["id"])
    elif step == "unchanged" and not image:
        parts["walk"] = source["walk"]["cpu_seconds"]
    elif step in ("first", "unchanged", "unchanged, 1 CPU", "rescan"):
        parts["read"] = source["read"]["cpu_seconds"]
        parts["ids"] = seconds(plain, s["id"])
        if case in ("random", "block"):
            # Nothing shrinks; cutting is left out: its cost is ours alone.
            parts["seal"] = seconds(stored, s["seal"])
        else:
            parts["cut"] = seconds(plain, s["cut_stream"])
            parts["pack"] = seconds(new, source["pack"])
            parts["seal"] = seconds(stored, s["seal"])
            parts["copy"] = seconds(stored, s["copy"])
    else:
        return None
    cpu = sum(parts.values()) / (1 if ran_on == 1 else cores())
    disk = 0.0
    if step not in ("restore", "unchanged", "unchanged, 1 CPU"):
        disk = seconds(stored, s["disk_write"])
    return {"seconds": max(cpu, disk), "by": "disk" if disk > cpu else "CPU",
            "cpu_seconds": {k: round(v, 3) for k, v in parts.items()}}
