#!/usr/bin/env python3
"""The rules of the house that a program can see.

usage: lint.py [--root DIR] [CHECK...]

Each problem is one line, FILE:LINE: what is wrong (what to do about it).
Exit status 0 when there is none, 1 when there is, 2 when lint cannot run.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
from source import Source  # noqa: E402 (no .pyc files in the tree)

C_LINES = 800
H_LINES = 300
FUNCTION_LINES = 120
COLUMNS = 100

BANNED = {
    "sprintf": "snprintf or buf_printf",
    "vsprintf": "vsnprintf",
    "strcpy": "memcpy with a length that was checked",
    "strcat": "buf_str or snprintf",
    "gets": "getline",
    "alloca": "the heap",
    "strtok": "strcspn or strtok_r",
    "atoi": "strtol and a look at its end",
    "atol": "strtol and a look at its end",
    "atoll": "strtoll and a look at its end",
    "system": "posix_spawn",
    "popen": "posix_spawn and a pipe",
    "tmpnam": "mkstemp or O_TMPFILE",
    "tempnam": "mkstemp or O_TMPFILE",
    "mktemp": "mkstemp or O_TMPFILE",
}
ENDING = {"exit", "abort", "_Exit", "quick_exit"}
MAY_END = {"repo/base/rand.c"}
PRINTING = {"printf", "vprintf", "puts", "putchar", "perror", "warn", "warnx",
            "err", "errx"}
TOP = "agent/cli"

# What the chunker's objects may leave for the linker: the compiler's own
# memory routines and its look at the processor.
CHUNKER_MAY_USE = {"memcpy", "memset", "memmove", "memcmp",
                   "__cpu_model", "__cpu_indicator_init", "__cpu_features2",
                   "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}

TELLING = {"log_msg", "err_set", "err_sys", "err_wrap"}
SECRET = re.compile(r"pass(?:word|phrase)|secret|plaintext|\bkek\b")

SKIP_DIRS = {".git", "build", "__pycache__", "results", "corpus", "golden"}


class House:
    """The tree, its floors, and the problems found so far."""

    def __init__(self, root):
        self.root = os.path.realpath(root)
        self.problems = []
        self.floor = {}
        self.prefixes = {}
        self._read_floors()
        self.files = sorted(self._list())
        self.sources = {}
        for f in self.files:
            if f.endswith((".c", ".h")):
                self.sources[f] = Source(f, self.read(f))

    def say(self, path, line, what, do):
        self.problems.append((path, line, "%s (%s)" % (what, do)))

    def read(self, path):
        with open(os.path.join(self.root, path), "rb") as f:
            return f.read().decode("utf-8", "surrogateescape")

    def room(self, path):
        """The room that a file is in, or None."""
        d = os.path.dirname(path)
        return d if d in self.floor else None

    def _read_floors(self):
        for line in self.read("tests/lint/floors").split("\n"):
            words = line.split("#")[0].split()
            if words:
                self.floor[words[1]] = int(words[0])
                self.prefixes[words[1]] = tuple(words[2:])

    def _list(self):
        """Every file that belongs to the project, by git where there is one."""
        if os.path.exists(os.path.join(self.root, ".git")):
            out = subprocess.run(
                ["git", "-C", self.root, "ls-files", "-coz",
                 "--exclude-standard"], capture_output=True, check=True).stdout
            names = out.decode("utf-8", "surrogateescape").split("\0")
            return [n for n in names if n and
                    os.path.isfile(os.path.join(self.root, n))]
        found = []
        for d, dirs, names in os.walk(self.root):
            dirs[:] = [x for x in dirs if x not in SKIP_DIRS]
            found += [os.path.relpath(os.path.join(d, n), self.root)
                      for n in names if not n.endswith((".o", ".d", ".pyc"))]
        return found

    def texts(self):
        """Files for people: (path, text), without what tests feed in."""
        for f in self.files:
            if SKIP_DIRS & set(f.split("/")):
                continue
            text = self.read(f)
            if "\0" not in text:
                yield f, text

    def room_sources(self):
        for f, src in self.sources.items():
            if self.room(f):
                yield f, src, self.room(f)


def check_floors(house):
    """Includes stay in their room or go down; rooms are known."""
    for f, src in house.sources.items():
        room = house.room(f)
        top = f.split("/")[0]
        if room is None and top not in ("tests", "bench"):
            house.say(f, 1, "this folder is no room",
                      "add it to tests/lint/floors, or move the file")
            continue
        for line, inc in src.includes():
            other = os.path.dirname(inc)
            if not os.path.exists(os.path.join(house.root, inc)):
                house.say(f, line, 'no file "%s" at the root' % inc,
                          "name it from the root, as in repo/base/err.h")
            elif room is None:
                if inc.endswith("_internal.h") and top != "tests":
                    house.say(f, line, "%s is private to its room" % inc,
                              "use the room's public header")
            elif other == room:
                continue
            elif other not in house.floor:
                house.say(f, line, "%s is in no room" % inc,
                          "a room includes rooms only")
            elif house.floor[other] >= house.floor[room]:
                house.say(f, line, "%s (floor %d) includes %s (floor %d)" % (
                    room, house.floor[room], other, house.floor[other]),
                    "only lower floors; what both need sinks below them")
            elif inc.endswith("_internal.h"):
                house.say(f, line, "%s is private to its room" % inc,
                          "use the room's public header")


def stems(house, room):
    """Names of a room's files as prefixes: dirs.c gives dirs_ and dir_."""
    found = set()
    for f, _, r in house.room_sources():
        if r == room:
            stem = os.path.splitext(os.path.basename(f))[0]
            found.add(stem + "_")
            if stem.endswith("s"):
                found.add(stem[:-1] + "_")
    return tuple(found)


def seen_outside(house):
    """Headers that another room includes."""
    return {m for f, src, room in house.room_sources()
            for m in re.findall(r'^#include "([^"]+)"', src.text, re.M)
            if os.path.dirname(m) != room}


def check_prefixes(house):
    """A function that other rooms see begins with its room's name, one that
    only its room sees with that or with the name of one of the room's files,
    so that a reader knows where to look."""
    public = "".join(house.sources[h].text for h in seen_outside(house)
                     if h in house.sources)
    for f, src, room in house.room_sources():
        header = f.endswith(".h")
        allowed = house.prefixes[room]
        private = allowed + stems(house, room)
        seen = [(x.name, x.line) for x in src.functions
                if header or not x.static] + src.variables
        for name, line in seen:
            if name == "main" and room == TOP:
                continue
            shown = re.search(r"\b%s\b" % re.escape(name), public)
            if not name.startswith(allowed if shown else private):
                house.say(f, line, "%s has none of the prefixes of %s: %s" % (
                    name, room, " ".join(allowed)),
                    "rename it, or make it static")


def check_guards(house):
    """A header's guard is its path, so two never collide."""
    for f, src in house.sources.items():
        if not f.endswith(".h"):
            continue
        want = re.sub(r"[^A-Za-z0-9]", "_", f).upper()
        m = re.search(r"^#ifndef (\w+)\n#define (\w+)", src.text, re.M)
        if not m or m.group(1) != want or m.group(2) != want:
            house.say(f, 1, "the include guard is not %s" % want,
                      "#ifndef and #define it first")


def check_headers(house):
    """Each header compiles alone."""
    cc = os.environ.get("CC", "gcc").split()
    libs = subprocess.run(
        "pkg-config --cflags libsodium libzstd jansson liburing libisal "
        "fuse3 libcurl 2>/dev/null || true", shell=True,
        capture_output=True, text=True).stdout.split()

    def compile_one(f):
        r = subprocess.run(
            cc + ["-fsyntax-only", "-std=c17", "-D_GNU_SOURCE", "-I.", "-Wall",
                  "-Werror", "-Wno-unused-function", "-x", "c"] + libs + [f],
            cwd=house.root, capture_output=True, text=True)
        return f, r

    headers = [f for f in house.sources if f.endswith(".h")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for f, r in pool.map(compile_one, headers):
            if r.returncode != 0:
                m = re.search(r"^[^:\n]+:(\d+)(?::\d+)?: .*error: (.*)$",
                              r.stderr, re.M)
                house.say(f, int(m.group(1)) if m else 1,
                          "does not compile alone: %s" % (
                              m.group(2) if m else r.stderr.strip()[:200]),
                          "include what it needs")


def check_sizes(house):
    """Files and functions end before a reader tires."""
    for f, src in house.sources.items():
        lines = src.text.count("\n")
        stop = H_LINES if f.endswith(".h") else C_LINES
        if lines > stop:
            house.say(f, stop, "%d lines, the stop is %d" % (lines, stop),
                      "split it by verb")
        for x in src.functions:
            n = x.end - x.line + 1
            if x.defined and n > FUNCTION_LINES:
                house.say(f, x.line, "%s has %d lines, the stop is %d" % (
                    x.name, n, FUNCTION_LINES), "cut it into named steps")


def check_maps(house):
    """The README.md of a room lists its files, each with its sentence."""
    for room in house.floor:
        files = {os.path.basename(f) for f in house.sources
                 if house.room(f) == room}
        if not files:
            continue
        path = room + "/README.md"
        if path not in house.files:
            house.say(path, 1, "the room has no map",
                      "write purpose, non-goals, invariants, and a line "
                      "'- `file.c` - sentence' for each file")
            continue
        listed = {}
        for i, line in enumerate(house.read(path).split("\n"), 1):
            if not line.startswith("- `"):
                continue
            for name in re.findall(r"`([\w.-]+\.[ch])`",
                                   re.split(r" [-–—] |: ", line)[0]):
                listed[name] = i
        for name in sorted(files - set(listed)):
            house.say(path, 1, "%s is not on the map" % name,
                      "add '- `%s` - what it does'" % name)
        for name in sorted(set(listed) - files):
            house.say(path, listed[name], "%s is on the map but not here" %
                      name, "remove the line")


def check_banned(house):
    """Functions that have a better one; ending and printing at the top."""
    for f, src in house.sources.items():
        for name, line in src.calls(BANNED):
            house.say(f, line, "%s is not used here" % name,
                      "take %s" % BANNED[name])
        room = house.room(f)
        if room is None or room == TOP:
            continue
        if f not in MAY_END:
            for name, line in src.calls(ENDING):
                house.say(f, line, "a library does not call %s" % name,
                          "return -1 with err filled")
        for name, line in src.calls(PRINTING):
            house.say(f, line, "a library does not print (%s)" % name,
                      "log_msg, or hand the text upward")
        if f in MAY_END:
            continue
        for m in re.finditer(r"\b(stdout|stderr)\b", src.code):
            house.say(f, src.line_of(m.start()),
                      "a library does not know %s" % m.group(1),
                      "log_msg, or hand the text upward")


def check_secrets(house):
    """No secret goes into a message."""
    for f, src, _ in house.room_sources():
        for name, line in src.calls(TELLING):
            at = sum(len(x) + 1 for x in src.lines[:line - 1])
            stop = src.code.find(";", at)
            args = src.code[src.code.index("(", at):stop]
            m = SECRET.search(re.sub(r"\bsizeof\b[^,)]*", "", args))
            if m:
                house.say(f, line, "%s may be told %s" % (name, m.group(0)),
                          "leave it out, or name what is not secret")


def check_chunker(house):
    """The chunker's object files need nothing but memory routines."""
    cc = os.environ.get("CC", "gcc").split()
    with tempfile.TemporaryDirectory() as tmp:
        for f in house.sources:
            if house.room(f) != "chunker" or not f.endswith(".c"):
                continue
            obj = os.path.join(tmp, os.path.basename(f) + ".o")
            r = subprocess.run(
                cc + ["-std=c17", "-D_GNU_SOURCE", "-I.", "-O2", "-c", "-o",
                      obj, f], cwd=house.root, capture_output=True, text=True)
            if r.returncode != 0:
                house.say(f, 1, "does not compile", "see make")
                continue
            out = subprocess.run(["nm", "-u", obj], capture_output=True,
                                 text=True, check=True).stdout
            for name in re.findall(r"\bU (\S+)", out):
                if name in CHUNKER_MAY_USE or name.startswith("chunker_"):
                    continue
                house.say(f, 1, "needs the symbol %s" % name,
                          "the chunker knows no allocation, errno or I/O")


def check_text(house):
    """Trailing spaces, tabs in C, long lines, a newline at the end."""
    for f, text in house.texts():
        lines = text.split("\n")
        if text and not text.endswith("\n"):
            house.say(f, len(lines), "no newline at the end", "add one")
        if text.endswith("\n\n"):
            house.say(f, len(lines) - 1, "an empty line at the end",
                      "remove it")
        in_c = f.endswith((".c", ".h"))
        for i, line in enumerate(lines, 1):
            if line != line.rstrip():
                house.say(f, i, "spaces at the end of the line",
                          "remove them")
            if not in_c:
                continue
            before = lines[i - 2].rstrip() if i > 1 else ""
            if re.match(r" {4}", line) and before.endswith((";", "{", "}")):
                house.say(f, i, "indented with spaces", "take tabs")
            if len(line.expandtabs(8)) > COLUMNS:
                house.say(f, i, "%d columns, the stop is %d" % (
                    len(line.expandtabs(8)), COLUMNS), "break the line")


def check_paths(house):
    """Nothing names the machine that it was written on."""
    # A tree at /src is not told from any other path that is called so.
    here = r"(?<![\w.$/-])" + re.escape(house.root) + r"(?=[/\s\"'`:;,)]|$)"
    if house.root.count("/") < 2:
        here = r"(?!)"
    home = r"/(?:home|Users)/(?!user\b|me\b|anna\b|alice\b|\$)[a-z][\w.-]*/"
    pattern = re.compile("|".join([here, home]))
    for f, text in house.texts():
        for i, line in enumerate(text.split("\n"), 1):
            m = pattern.search(line)
            if m:
                house.say(f, i, "%s is a path of one machine" % m.group(0),
                          "name it from the root of the project")


def check_links(house):
    """Links between the project's own pages lead somewhere."""
    for f, text in house.texts():
        if not f.endswith(".md"):
            continue
        for i, line in enumerate(text.split("\n"), 1):
            for to in re.findall(r"(?<![\w./])(?:\.\./)+[\w.-]+", line):
                if os.path.normpath(os.path.join(
                        os.path.dirname(f), to)).startswith(".."):
                    house.say(f, i, "%s is outside of the project" % to,
                              "say here what it says there")
            line = re.sub(r"`[^`]*`", "", line)
            for to in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line):
                if re.match(r"[a-z]+:", to):
                    continue
                path = os.path.normpath(os.path.join(os.path.dirname(f), to))
                if path.startswith("..") or not os.path.exists(
                        os.path.join(house.root, path)):
                    house.say(f, i, "the link to %s leads nowhere" % to,
                              "mend or remove it")


CHECKS = {name[6:]: fn for name, fn in sorted(globals().items())
          if name.startswith("check_")}


def main():
    parser = argparse.ArgumentParser(
        description="checks: " + ", ".join(CHECKS))
    parser.add_argument("--root", default=os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    parser.add_argument("checks", nargs="*", metavar="CHECK")
    args = parser.parse_args()
    unknown = [c for c in args.checks if c not in CHECKS]
    if unknown:
        parser.error("no check %s" % ", ".join(unknown))
    house = House(args.root)
    for name in args.checks or CHECKS:
        CHECKS[name](house)
    for path, line, what in sorted(set(house.problems)):
        print("%s:%d: %s" % (path, line, what))
    n = len(set(house.problems))
    print("lint: %s" % ("clean" if n == 0 else
                        "%d problem%s" % (n, "s"[:n > 1])))
    return 1 if n else 0


if __name__ == "__main__":
    sys.exit(main())
