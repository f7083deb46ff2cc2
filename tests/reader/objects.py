"""Objects of FORMAT.md, sections 2, 3, 6 and 7: names, headers, fields.

Nothing here needs a key; what is sealed is opened by its caller.
"""

import re
from types import SimpleNamespace

from wire import Cursor, Damage

WRITE, READ, ADMIN = 1, 2, 4
A = bytes(8)  # the signer who is no slot
NO_ID = bytes(32)

_H8, _SLOT, _H16 = "([0-9a-f]{8})", "([0-9a-f]{16})", "([0-9a-f]{16})"
_SESSION = "([0-9a-f]{16}-[0-9a-f]{12}-[0-9a-f]{16})"
_NAMES = [(re.compile(pattern), kinds) for pattern, kinds in (
    (f"config/{_H8}", (1,)),
    (f"keys/{_SLOT}/cert", (2,)),
    (f"keys/{_SLOT}/wrap/{_H8}", (3,)),
    (f"keys/{_SLOT}/end-([0-9a-f]{{64}})", (4,)),
    (f"epochs/{_H8}/{_H16}/{_SLOT}", (5,)),
    ("packs/([0-9a-f]{2})/(\\1[0-9a-f]{30})", (6,)),
    (f"index/{_SLOT}/{_SESSION}/{_H8}", (7,)),
    (f"index/merged/{_H16}", (7,)),
    (f"index/manifest/{_H16}", (8,)),
    (f"snapshots/{_SLOT}/{_SESSION}", (9, 10)),
    (f"forgotten/{_SLOT}/{_SESSION}", (11,)),
    (f"sessions/{_SLOT}/{_SESSION}", (12,)),
    (f"gc/{_H16}/mark", (13,)),
    (f"gc/{_H16}/verdict", (14,)),
    (f"gc/{_H16}/dead-([0-9a-f]{{64}})", (15,)),
    (f"bad/{_H16}", (16,)),
    (f"checked/{_H16}", (17,)),
    ("parity/([0-9a-f]{2})/(\\1[0-9a-f]{30})", (18,)))]
_SESSION_NAME = re.compile(_SESSION)


def kinds_of(key):
    """The kinds that an object of that key may have; () if none may be."""
    for pattern, kinds in _NAMES:
        if pattern.fullmatch(key):
            return kinds
    return ()


def header(key, data):
    """Return kind and epoch."""
    c = Cursor(data, key)
    if c.raw(4) != b"WHRY":
        c.fail("no object of a repository")
    kind, version = c.u8(), c.u8()
    if version > 1:
        raise Damage(f"{key}: format version {version} is newer than this "
                     "reader: nothing is done")
    if version != 1:
        c.fail("format version 0")
    c.zeros(2)
    epoch = c.u32()
    c.zeros(4)
    if kind not in kinds_of(key):
        c.fail(f"kind {kind} under this key")
    return kind, epoch


def bind(key, data):
    name = key.encode()
    return len(name).to_bytes(2, "little") + name + bytes(data[:16])


def body(key, data, tail=0):
    """The fields after the header, without the last tail bytes."""
    if len(data) < 16 + tail:
        raise Damage(f"{key}: {len(data)} bytes are too few")
    return Cursor(memoryview(data)[16:len(data) - tail], key)


SIGNED = 72  # signer and signature


def session_str(c):
    name = c.str().decode("latin-1")
    if not _SESSION_NAME.fullmatch(name):
        c.fail(f"{name!r} is no name of a session")
    return name


def maybe_session(c):
    at = c.at
    if c.var() == 0:
        return ""
    c.at = at
    return session_str(c)


def rights(c):
    value = c.u8()
    if value & ~(WRITE | READ | ADMIN):
        c.fail(f"unknown rights {value}")
    return value


def cert(key, data):
    c = body(key, data, SIGNED)
    o = SimpleNamespace(slot=c.raw(8), rights=rights(c), created=c.i64(),
                        x_public=c.raw(32), ed_public=c.raw(32),
                        domain=c.str(), label=c.str())
    c.end()
    if o.slot.hex() != key.split("/")[1]:
        c.fail("of another slot")
    return o


def end(key, data):
    c = body(key, data)

    def stood():
        return SimpleNamespace(session=session_str(c), segments=c.u32(),
                               snapshot=c.raw(32))
    o = SimpleNamespace(slot=c.raw(8), time=c.i64(), stood=c.list(stood, 37))
    c.end()
    if o.slot.hex() != key.split("/")[1]:
        c.fail("of another slot")
    return o


def wrap(key, data):
    c = body(key, data)
    o = SimpleNamespace(method=c.u8(), ops=c.u32(), memory=c.u32(),
                        salt=c.raw(16))
    o.ad = bind(key, data) + bytes(data[16:16 + c.at])
    o.sealed = c.raw(c.left())
    if o.method not in (1, 2):
        c.fail(f"unknown method {o.method}")
    if o.method == 2 and (o.ops or o.memory or any(o.salt)):
        c.fail("a key file's wrap has parameters")
    return o


def wrapped_secret(key, plain):
    c = Cursor(plain, key)
    o = SimpleNamespace(x_secret=c.raw(32), ed_seed=c.raw(32),
                        repository=c.raw(16), family=c.raw(16),
                        epoch=c.u32(), a_public=c.raw(32))
    c.end()
    return o


def grant_content(key, plain):
    c = Cursor(plain, key)
    o = SimpleNamespace(n=c.u32(), rights=rights(c), domain=c.str())

    def family():
        return SimpleNamespace(
            since=c.u32(), f=c.raw(32) if o.rights & ADMIN else None,
            k_id=c.raw(32), k_ord=c.raw(32),
            k_cut=c.raw(32) if o.rights & WRITE else None)
    o.families = c.list(family, 68)
    since = [f.since for f in o.families]
    if not since or since != sorted(set(since)) or since[0] < 1 or \
            since[-1] > o.n:
        c.fail("its family secrets do not ascend by epochs that it grants")

    def epoch():
        return SimpleNamespace(
            n=c.u32(), p=c.raw(32), a=c.raw(32), k_idx=c.raw(32),
            x=c.raw(32) if o.rights & READ else None,
            r=c.raw(32) if o.rights & ADMIN else None)
    o.epochs = c.list(epoch, 100)
    c.end()
    if [e.n for e in o.epochs] != list(range(1, o.n + 1)):
        c.fail("its epochs have gaps")
    if key.split("/")[1] != f"{o.n:08x}":
        c.fail("of another epoch")
    return o


def config(key, data):
    c = body(key, data, SIGNED)

    def chunking():
        return SimpleNamespace(avg=c.u32(), min=c.u32(), max=c.u32(),
                               threshold=c.u64())
    o = SimpleNamespace(repository=c.raw(16), family=c.raw(16), epoch=c.u32(),
                        created=c.i64(), stream=chunking(), block=chunking(),
                        pack=c.u32(), parity=(c.u8(), c.u8()),
                        lock_days=c.u32(), flags=c.u32(),
                        to_read=c.list(c.str), to_write=c.list(c.str),
                        optional=c.list(c.str),
                        admins=c.list(lambda: c.raw(32), 32),
                        ended=c.list(lambda: (c.raw(8), c.raw(32)), 40))
    c.end()
    _, by = header(key, data)
    if not o.epoch or by not in (o.epoch, o.epoch - 1) or not by:
        c.fail(f"of epoch {o.epoch} and signed in {by}")
    if len(o.admins) != o.epoch:
        c.fail("not one A of each epoch")
    slots = [slot for slot, _ in o.ended]
    if slots != sorted(set(slots)):
        c.fail("credentials that ended do not ascend")
    if o.flags & ~1:
        c.fail(f"unknown flags {o.flags:#x}")
    return o


def ref(c):
    """The top page of a map, or None for one without entries."""
    o = SimpleNamespace(id=c.raw(32), level=c.u8(), entries=c.u64())
    if o.id != NO_ID:
        if not o.entries:
            c.fail("a map with a page and no entries")
        return o
    if o.level or o.entries:
        c.fail("a map without a page and with entries")
    return None


def snapshot_parts(key, data):
    """The two sealed parts of a commit or checkpoint."""
    c = body(key, data, SIGNED)
    parts = c.raw(c.u32()), c.raw(c.u32())
    c.end()
    return parts


def origin(c):
    """Repository id, slot and session of what a copy was made of, or None."""
    text = c.str()
    if not text:
        return None
    if not _SESSION_NAME.fullmatch(text[24:].decode("latin-1")):
        c.fail("an origin that names no session")
    return text[:16], text[16:24], text[24:].decode()


def snapshot_s1(key, plain):
    c = Cursor(plain, key)
    o = SimpleNamespace(
        type=c.u8(), flags=c.u32(), content=c.u8(), volume=c.raw(32),
        domain=c.str(), start=c.i64(), end=c.i64(), counter=c.u64(),
        before_hash=c.raw(32), before=maybe_session(c),
        parent=maybe_session(c), generation=c.u64(), root=ref(c),
        size=c.u64(), entries=c.u64(), packs=c.list(lambda: c.raw(16), 16),
        origin=origin(c))
    c.end()
    if o.type not in (1, 2) or o.content not in (1, 2) or o.flags & ~7:
        c.fail("unknown type, content or flags")
    if o.type == 1 and o.packs:
        c.fail("a commit that lists packs")
    if (o.before == "") != (o.before_hash == NO_ID):
        c.fail("half a predecessor")
    if (o.before == "") != (o.counter == 1):
        c.fail(f"counter {o.counter}, predecessor {o.before!r}")
    return o


def snapshot_s2(key, plain):
    c = Cursor(plain, key)
    o = SimpleNamespace(
        catalog=ref(c), volume_name=c.str(), host=c.str(), user=c.str(),
        version=c.str(), paths=c.list(c.str), tags=c.list(c.str),
        files=c.u64(), directories=c.u64(), others=c.u64(), read=c.u64(),
        new=c.u64(), stored=c.u64())
    c.end()
    return o


def revocation(key, data):
    c = body(key, data, SIGNED)
    o = SimpleNamespace(time=c.i64(), generation=c.u64())
    c.end()
    return o


def note(key, data):
    c = body(key, data, SIGNED)
    o = SimpleNamespace(session=session_str(c), time=c.i64(), reason=c.str())
    c.end()
    if o.session != key.split("/")[2]:
        c.fail("of another session")
    return o


def session_content(key, plain):
    c = Cursor(plain, key)
    o = SimpleNamespace(generation=c.u64(), start=c.i64(), updated=c.i64(),
                        read=c.u64(), entries=c.u64(), host=c.str())
    c.end()
    return o


def manifest(key, data):
    c = body(key, data, SIGNED)
    o = SimpleNamespace(merged=c.list(c.u64, 8), covered=[
        k.decode("ascii", "replace") for k in c.list(c.str, 2)])
    c.end()
    if any(a >= b for a, b in zip(o.merged, o.merged[1:])):
        c.fail("not ascending")
    if any(kinds_of(k) != (7,) for k in o.covered):
        c.fail("covers what is no segment")
    return o


def mark(key, data):
    c = body(key, data, SIGNED)
    o = SimpleNamespace(time=c.i64(), dead=c.raw(32), snapshots=c.list(
        lambda: (c.raw(8), session_str(c)), 9))
    c.end()
    return o


def verdict(key, data):
    c = body(key, data, SIGNED)
    o = SimpleNamespace(what=c.u8(), mark=c.raw(32), dead=c.raw(32),
                        time=c.i64())
    c.end()
    if o.what not in (1, 2) or (o.what == 2) != (o.dead == NO_ID):
        c.fail("neither to delete nor void")
    return o


def dead_list(key, plain):
    c = Cursor(plain, key)

    def some():
        name, last, ordinals = c.raw(16), 0, []
        for step in c.list(c.zz):
            last += step
            ordinals.append(last)
        return name, ordinals
    o = SimpleNamespace(whole=c.list(lambda: c.raw(16), 16),
                        parts=c.list(some, 17))
    c.end()
    return o


def bad(key, data):
    c = body(key, data, SIGNED)
    flags = c.u8()
    blobs = c.list(lambda: (c.u8(), c.raw(32), c.raw(16)), 49)
    snapshots = c.list(lambda: (c.raw(8), session_str(c)), 9)
    c.end()
    if flags > 1 or any(k > 3 or (k == 0) != (i == bytes(32))
                        for k, i, _ in blobs):
        c.fail("names no blob")
    return SimpleNamespace(more=bool(flags), blobs=blobs, snapshots=snapshots)


def checked(key, data):
    c = body(key, data, SIGNED)
    packs = c.list(lambda: (c.raw(16), c.i64()), 24)
    c.end()
    return packs


def parity(key, data):
    c = body(key, data)
    o = SimpleNamespace(pack_size=c.u32(), shard_size=c.u32(), data=c.u8(),
                        parity=c.u8())
    if header(key, data)[1]:
        c.fail("parity has no epoch")
    if not (o.shard_size and o.data and o.parity) or \
            o.data + o.parity > 255 or \
            -(-o.pack_size // o.shard_size) != o.data:
        c.fail("parity of an impossible shape")
    o.crcs = [[c.u64() for _ in range(-(-o.shard_size // 4096))]
              for _ in range(o.data + o.parity)]
    o.shards = [c.raw(o.shard_size) for _ in range(o.parity)]
    c.end()
    return o
