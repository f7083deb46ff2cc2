"""Pages of maps: FORMAT.md, section 8."""

import struct
from types import SimpleNamespace

import ciphers
import objects
from objects import NO_ID
from wire import Cursor, var_size

CATALOG, STATE, BYTES = 0x11, 0x21, 0x31
BLOB_KIND = {CATALOG: 2, STATE: 3, BYTES: 3}
FILE, DIR, LINK, CHAR, BLOCK, FIFO, SOCKET = range(1, 8)
HOLE, INLINE, SLICE, RUNS, MAP = range(5)
RUN_HOLE, RUN_ZEROS, RUN_CHUNK = range(3)
(HARD, XATTRS, FLAGS, PROJECT, TARGET, DEVICE, CONTENT, CHANGED,
 UNREADABLE) = (1 << i for i in range(9))
MARK_SIZE = 33


class Page:
    """A page, decoded.  entries: those of a leaf; children: those of an inner
    page.  Each has `key`, comparable, and `end`, the size of the page's items
    up to and with it."""

    def __init__(self, plain, domain, map_type, what):
        self.c = c = Cursor(plain, what)
        self.domain, self.what = domain, what
        self._last = None, None
        self.type, self.level = c.u8(), c.u8()
        if self.type != map_type:
            c.fail(f"a page of type {self.type:#x} and not {map_type:#x}")
        count = c.var()
        if not count or count > c.left():
            c.fail(f"{count} entries")
        self.items_at = c.at
        if self.level:
            self.entries = [self._child() for _ in range(count)]
            self.below = sum(e.below for e in self.entries)
        elif map_type == BYTES:
            self.entries = [self._run() for _ in range(count)]
            self.below = count
        else:
            self._leaf(count)
            self.below = count
        c.end()
        for a, b in zip(self.entries, self.entries[1:]):
            if a.key >= b.key:
                c.fail(f"{b.key} does not come after {a.key}")

    # Keys.

    def _path_key(self, path, name):
        h = self.domain.h
        if self._last[0] is not path:
            self._last = path, tuple((h(c), c) for c in path)
        return (self._last[1], (h(name), name))

    def component(self):
        name = self.c.str()
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
            self.c.fail(f"{name!r} is no name")
        return name

    def name(self, path):
        at = self.c.at
        if not path and self.c.var() == 0:
            return b""
        self.c.at = at
        return self.component()

    def _child(self):
        c = self.c
        if self.type == CATALOG:
            path = tuple(c.list(self.component, 2))
            name = self.name(path)
            e = SimpleNamespace(path=path, name=name,
                                key=self._path_key(path, name))
        elif self.type == STATE:
            path = tuple(c.list(c.u64, 8))
            e = SimpleNamespace(path=path, key=(path, c.u64()))
        else:
            e = SimpleNamespace(key=c.var())
        e.below, e.id = c.var(), c.raw(32)
        if not e.below or e.id == NO_ID:
            c.fail("a child without entries")
        e.end = c.at - self.items_at
        return e

    # Leaves.

    def _run(self):
        e = SimpleNamespace(key=self.c.var(), run=run(self.c))
        e.end = self.c.at - self.items_at
        return e

    def _leaf(self, count):
        """Items of catalogs and states: directories, marks and entries."""
        c = self.c
        self.entries = []
        path, moved, mark = None, False, None
        while len(self.entries) < count:
            led = c.u8()
            if led == 1:
                if moved or mark is not None:
                    c.fail("a directory without entries")
                path, moved = self._directory(path), True
                continue
            if path is None:
                c.fail("does not begin with a directory")
            if led == 3 and self.type == STATE:
                if mark is not None:
                    c.fail("two marks for one entry")
                mark = c.raw(32)
                continue
            if led != 2:
                c.fail(f"an unknown item {led}")
            e = self._entry(path) if self.type == CATALOG else \
                self._state_entry(path)
            e.end, e.mark = c.at - self.items_at, mark
            self.entries.append(e)
            moved, mark = False, None

    def _directory(self, before):
        c = self.c
        kept = c.var()
        if kept > len(before or ()):
            c.fail(f"{kept} components kept of {len(before or ())}")
        rest = c.list(self.component, 2) if self.type == CATALOG else \
            c.list(c.u64, 8)
        path = tuple(before or ())[:kept] + tuple(rest)
        if before is not None:
            if path == before:
                c.fail("a directory that does not change")
            if rest and kept < len(before) and before[kept] == rest[0]:
                c.fail("a component kept that is named again")
        return path

    def directory_size(self, before, path):
        """The size of the item that leads from one directory to another."""
        if before == path:
            return 0
        kept = 0
        while kept < min(len(before), len(path)) and \
                before[kept] == path[kept]:
            kept += 1
        rest = path[kept:]
        return 1 + var_size(kept) + var_size(len(rest)) + sum(
            8 if self.type == STATE else var_size(len(p)) + len(p)
            for p in rest)

    def _entry(self, path):
        c = self.c
        at = c.at - 1
        e = SimpleNamespace(path=path, name=self.name(path), type=c.u8(),
                            bits=c.var(), mode=c.var32(), uid=c.var32(),
                            gid=c.var32(), mtime=self._time(),
                            ctime=self._time())
        e.key = self._path_key(path, e.name)
        self._check_bits(e)
        e.hard = (c.var(), c.var()) if e.bits & HARD else None
        e.xattrs = c.list(lambda: (c.str(), c.str()), 2) \
            if e.bits & XATTRS else []
        if e.bits & XATTRS and not e.xattrs or any(
                a[0] >= b[0] for a, b in zip(e.xattrs, e.xattrs[1:])):
            c.fail("xattrs are none or out of order")
        e.flags = c.var32() if e.bits & FLAGS else None
        e.project = c.var32() if e.bits & PROJECT else None
        e.target = c.str() if e.bits & TARGET else None
        e.device = (c.var32(), c.var32()) if e.bits & DEVICE else None
        e.content = content(c, True) if e.bits & CONTENT else None
        e.own = c.at - at
        return e

    def _time(self):
        seconds, ns = self.c.zz(), self.c.var()
        if ns >= 10 ** 9:
            self.c.fail(f"{ns} nanoseconds")
        return seconds, ns

    def _check_bits(self, e):
        c = self.c
        if not FILE <= e.type <= SOCKET:
            c.fail(f"unknown type {e.type}")
        if e.bits >> 9:
            c.fail(f"unknown bits {e.bits:#x}")
        if e.mode & ~0o7777:
            c.fail(f"mode {e.mode:o}")
        if e.bits & TARGET and e.type != LINK or \
                e.bits & CONTENT and e.type != FILE or \
                e.bits & DEVICE and e.type not in (CHAR, BLOCK):
            c.fail(f"bits {e.bits:#x} for type {e.type}")
        if e.name == b"" and e.type != DIR:
            c.fail("a root that is no directory")
        need = {LINK: TARGET, FILE: CONTENT, CHAR: DEVICE, BLOCK: DEVICE}
        if not e.bits & (need.get(e.type, 0) | UNREADABLE) and e.type in need:
            c.fail(f"bits {e.bits:#x} are too few for type {e.type}")

    def _state_entry(self, path):
        c = self.c
        at = c.at - 1
        e = SimpleNamespace(path=path, h=c.u64(), type=c.u8(), bits=c.var(),
                            digest=c.raw(16))
        e.key = (path, e.h)
        if e.bits & ~(1 | CONTENT) or not FILE <= e.type <= SOCKET or \
                e.bits & CONTENT and e.type != FILE:
            c.fail(f"type {e.type}, bits {e.bits:#x}")
        e.content = content(c, False) if e.bits & CONTENT else None
        e.own = c.at - at
        return e

    # Where pages end.

    def cut_hash(self, e):
        k = self.domain.k_ord
        if self.type == BYTES:
            return ciphers.siphash(k, struct.pack("<BQ", 0xfe, e.key))
        path, name = e.key
        hs = (*path, name)
        if self.type == CATALOG:
            hs = [h for h, _ in hs]
        return ciphers.siphash(k, struct.pack(f"<B{len(hs)}Q", 0xff, *hs))

    def size_in(self, before, e):
        """The size that e, the first entry of this page, would have had at
        the end of the page before."""
        if self.level or self.type == BYTES:
            return e.end
        return e.own + (MARK_SIZE if e.mark is not None else 0) + \
            self.directory_size(before.entries[-1].path, e.path)


def run(c):
    r = SimpleNamespace(kind=c.u8(), length=c.var(), id=None)
    if r.kind > RUN_CHUNK or not r.length:
        c.fail(f"a run of kind {r.kind} and length {r.length}")
    if r.kind == RUN_CHUNK:
        r.id = c.raw(32)
    return r


def content(c, with_bytes):
    """size, then C; with_bytes: what is inline is there"""
    o = SimpleNamespace(size=c.var(), kind=c.u8(), inline=None, runs=None,
                        root=None)
    if o.kind == INLINE:
        o.inline = c.raw(o.size) if with_bytes else None
    elif o.kind == SLICE:
        o.id, o.plain, o.offset = c.raw(32), c.var(), c.var()
        if o.offset + o.size > o.plain:
            c.fail("a slice beyond its chunk")
    elif o.kind == RUNS:
        o.runs = c.list(lambda: run(c), 2)
        if sum(r.length for r in o.runs) != o.size:
            c.fail(f"runs that do not make {o.size} bytes")
    elif o.kind == MAP:
        o.root = objects.ref(c)
        if (o.root is None) != (o.size == 0):
            c.fail("a byte map of another size")
    elif o.kind != HOLE:
        c.fail(f"unknown content {o.kind}")
    return o
