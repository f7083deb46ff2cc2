"""Packs and blobs: FORMAT.md, section 4."""

import struct
from types import SimpleNamespace

import zstandard

import ciphers
import objects
from wire import Cursor, Damage, NotAllowed

DATA, CATALOG, STATE = 1, 2, 3
MIB = 1 << 20
FOOTER = 56


def key_of(name):
    return f"packs/{name.hex()[:2]}/{name.hex()}"


def padme(size):
    """The smallest Padme size that holds size."""
    if size < 2:
        return size
    e = size.bit_length() - 1
    unit = 1 << (e - e.bit_length())
    return -(-size // unit) * unit


def data_key(repo, key, head, epoch, method, sealed):
    """The data key of a pack, or None when it is not for us to know.
    head: the 16 bytes of its header."""
    if method == 1:
        return ciphers.box_open(epoch.x, sealed, key) if epoch.x else None
    if method == 2:
        return ciphers.xseal_open(epoch.k_pack, objects.bind(key, head),
                                  sealed, key)
    raise Damage(f"{key}: unknown key method {method}")


def check_method(kind, method, what):
    if kind not in (DATA, CATALOG, STATE):
        raise Damage(f"{what}: unknown kind of blobs {kind}")
    if method != (2 if kind == STATE else 1):
        raise Damage(f"{what}: key method {method} for blobs of kind {kind}")


def checksums(key, data):
    """Check the pack's checksums, for which no key is needed."""
    n = -(-len(data) // MIB)
    end = len(data) - FOOTER - 8 * n
    if end < 28:
        raise Damage(f"{key}: {len(data)} bytes are too few")
    for i, (crc,) in enumerate(struct.iter_unpack(
            "<Q", data[end:end + 8 * n])):
        piece = data[min(i * MIB, end):min((i + 1) * MIB, end)]
        if not ciphers.crc64_is(piece, crc):
            raise Damage(f"{key}: MiB {i} has another checksum")
    return end


def read_pack(repo, key, data):
    """Check all of a pack but its blobs."""
    kind, n = objects.header(key, data)
    end = checksums(key, data)
    epoch = repo.epoch(n, key)
    c = Cursor(data, key)
    c.raw(16)
    pack = SimpleNamespace(name=bytes.fromhex(key[-32:]), size=len(data),
                           epoch=n, kind=c.u8(), method=c.u8())
    length = c.u16()
    pack.slot = c.raw(8)
    pack.sealed_key = c.raw(length)
    check_method(pack.kind, pack.method, key)
    ad = objects.bind(key, data)
    foot = Cursor(ciphers.xseal_open(epoch.k_footer, ad, data[-FOOTER:],
                                     key + " footer"), key)
    at, length = foot.u32(), foot.u32()
    foot.zeros(8)
    foot.end()
    if at + length != end or at < c.at:
        raise Damage(f"{key}: the directory is not where it should be")
    directory = ciphers.xseal_open(epoch.k_directory, ad, data[at:end],
                                   key + " directory")
    _read_directory(repo, key, pack, data[:c.at], directory, at)
    if len(data) % 65536 and padme(len(data)) != len(data):
        raise Damage(f"{key}: {len(data)} bytes are neither padding's size")
    pack.key = data_key(repo, key, data[:16], epoch, pack.method,
                        pack.sealed_key)
    return pack


def _read_directory(repo, key, pack, head, directory, end):
    c = Cursor(directory, key + " directory")
    count = c.u32()
    if count * 38 > c.left():
        c.fail(f"{count} entries")
    pack.entries = []
    at = len(head)
    for _ in range(count):
        entry = SimpleNamespace(id=c.raw(32), offset=c.u32(), sealed=c.u24(),
                                plain=c.u24())
        if entry.offset != at or entry.sealed < 20:
            c.fail(f"entry {len(pack.entries)} does not follow the one before")
        at += entry.sealed
        pack.entries.append(entry)
    if at != end:
        c.fail("the blobs do not end where it begins")
    digest = ciphers.sha256(bytes(head) + directory[:c.at])
    signature = c.raw(64)
    cert = repo.writer(pack.slot.hex(), key)
    if not ciphers.ed_verify(cert.ed_public, signature,
                             repo.message(key, digest)):
        c.fail("the signature is not valid")
    c.zeros(c.left())


def open_blob(repo, domains, kind, key, ordinal, blob_id, plain_len, sealed,
              what):
    """The plaintext of a sealed blob.  Its id must be that of one of the
    domains."""
    opened = ciphers.chacha_open(
        key, struct.pack("<I", ordinal) + blob_id[:8],
        repo.family + bytes([kind]) + blob_id, sealed, what)
    c = Cursor(opened, what)
    method, length = c.u8(), c.u24()
    if length != plain_len:
        c.fail(f"{length} bytes within, {plain_len} without")
    payload = c.raw(c.left())
    if len(payload) > length:
        c.fail("stored longer than it is")
    if method == 1:
        payload = _unpack(payload, length, what)
    elif method:
        c.fail(f"unknown method {method}")
    if len(payload) != length:
        c.fail(f"{len(payload)} bytes and not {length}")
    if not any(d.id(kind, payload) == blob_id for d in domains):
        c.fail("the id is another")
    return payload


def _unpack(frame, length, what):
    try:
        if frame[:4] != b"\x28\xb5\x2f\xfd" or frame[4] & 0x3f != 0x20:
            raise Damage(f"{what}: not the one form of a zstd frame")
        if zstandard.get_frame_parameters(frame).content_size != length:
            raise Damage(f"{what}: a frame of another length")
        return zstandard.ZstdDecompressor().decompress(
            frame, max_output_size=length, allow_extra_data=False)
    except (zstandard.ZstdError, IndexError) as e:
        raise Damage(f"{what}: {e}") from None


class Blobs:
    """Blobs by id, wherever they are."""

    def __init__(self, repo, index):
        self.repo, self.index = repo, index
        self._keys, self._cache = {}, {}

    def get(self, domain, kind, blob_id):
        """The plaintext of a blob, from the first copy that is whole."""
        cached = self._cache.get((kind, blob_id))
        if cached is not None:
            return cached
        what = f"blob {blob_id.hex()}"
        failure = Damage(f"{what}: in no index")
        for place in self.index.find(blob_id):
            if place.pack.kind != kind:
                continue
            try:
                plain = self._read(domain, kind, blob_id, place, what)
            except (Damage, NotAllowed) as e:
                failure = e
                continue
            if len(self._cache) >= 32:
                del self._cache[next(iter(self._cache))]
            self._cache[kind, blob_id] = plain
            return plain
        raise failure

    def _read(self, domain, kind, blob_id, place, what):
        pack = place.pack
        name = key_of(pack.name)
        what = f"{what} in {name}"
        if pack.name not in self._keys:
            epoch = self.repo.epoch(pack.epoch, name)
            head = self.repo.store.part(name, 0, 16)
            if objects.header(name, head) != (6, pack.epoch):
                raise Damage(f"{name}: of another epoch than the index says")
            self._keys[pack.name] = data_key(self.repo, name, head, epoch,
                                             pack.method, pack.sealed_key)
        if self._keys[pack.name] is None:
            raise NotAllowed(f"{what}: needs the right to read")
        sealed = self.repo.store.part(name, place.offset, place.sealed)
        return open_blob(self.repo, [domain], kind, self._keys[pack.name],
                         place.ordinal, blob_id, place.plain, sealed, what)
