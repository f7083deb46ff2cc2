"""Index segments and the manifest: FORMAT.md, section 5."""

import struct
from bisect import bisect_left
from types import SimpleNamespace

import ciphers
import objects
import packs
from wire import Cursor, Damage

BLOCK = 16368


class Segment:
    """One segment, all of it read and checked."""

    def __init__(self, repo, key, data):
        self.key = key
        merged = key.startswith("index/merged/")
        c = Cursor(data, key)
        c.raw(16)
        self.slot = c.raw(8)
        self.count, self.pack_count = c.u64(), c.u32()
        self.record, self.bits = c.u16(), c.u8()
        c.zeros(1)
        salt = c.raw(32)
        if self.count >> 32 or self.pack_count > 1 << 24 or self.bits > 30:
            c.fail("too large to be")
        if self.pack_count and not 36 <= self.record <= BLOCK:
            c.fail(f"pack records of {self.record} bytes")
        self._lay_out()
        sizes = [n for section in self.sections for n in section]
        blocks = sum(sizes) + 16 * len(sizes)
        if len(data) != 72 + blocks + 16 * len(sizes) + 72:
            c.fail(f"{len(data)} bytes for {len(sizes)} blocks")
        hashes = data[72 + blocks:-72]
        digest = ciphers.sha256(data[:72] + hashes + data[-72:-64])
        if merged:
            epoch = repo.signed_by_a(key, data, digest)
            if self.slot != objects.A:
                c.fail("merged, and of a slot")
        else:
            slot = key.split("/")[1]
            epoch = repo.signed_by_slot(key, data, slot, digest)
            if self.slot.hex() != slot:
                c.fail("of another slot")
        self._open_blocks(ciphers.hmac(epoch.k_segment, salt), data, hashes)
        self._read_packs()
        self._read_entries()
        self._check_buckets()
        del self.sections

    def _lay_out(self):
        """The plain sizes of all blocks, by section."""
        def section(count, size):
            per = BLOCK // size if size else 1
            full, rest = divmod(count, per)
            return [per * size] * full + ([rest * size] if rest else [])
        self.sections = [section(self.pack_count, self.record),
                         section(self.count, 48), section(self.count, 2),
                         section((1 << self.bits) + 1, 4)]

    def _open_blocks(self, key, data, hashes):
        at, number = 72, 0
        for i, section in enumerate(self.sections):
            plain = []
            for size in section:
                sealed = data[at:at + size + 16]
                what = f"{self.key} block {number}"
                if ciphers.sha256(sealed)[:16] != \
                        hashes[16 * number:16 * number + 16]:
                    raise Damage(f"{what}: another hash")
                plain.append(ciphers.chacha_open(
                    key, struct.pack("<I8x", number), None, sealed, what))
                at += size + 16
                number += 1
            self.sections[i] = b"".join(plain)

    def _read_packs(self):
        self.packs = []
        c = Cursor(self.sections[0], self.key + " packs")
        for _ in range(self.pack_count):
            end = c.at + self.record
            pack = SimpleNamespace(name=c.raw(16), size=c.u32(),
                                   epoch=c.u32(), kind=c.u8(), method=c.u8())
            length = c.u16()
            pack.slot = c.raw(8)
            if c.at + length > end:
                c.fail("a key longer than its record")
            pack.sealed_key = c.raw(length)
            c.zeros(end - c.at)
            packs.check_method(pack.kind, pack.method, c.what)
            self.packs.append(pack)
        c.end()

    def _read_entries(self):
        section = self.sections[1]
        self.ids, self.places = [], []
        last = b""
        for at in range(0, len(section), 48):
            # with big-endian numbers bytes would compare as the order wants
            pack = int.from_bytes(section[at + 32:at + 35], "little")
            ordinal = int.from_bytes(section[at + 35:at + 38], "little")
            offset, = struct.unpack_from("<I", section, at + 38)
            sealed = int.from_bytes(section[at + 42:at + 45], "little")
            plain = int.from_bytes(section[at + 45:at + 48], "little")
            this = section[at:at + 32] + struct.pack(
                ">IIIII", pack, ordinal, offset, sealed, plain)
            if this <= last:
                raise Damage(f"{self.key}: entry {at // 48} is out of order")
            if pack >= self.pack_count:
                raise Damage(f"{self.key}: entry {at // 48} is in no pack")
            last = this
            self.ids.append(this[:32])
            self.places.append((pack, ordinal, offset, sealed, plain))

    def _check_buckets(self):
        want = b"".join(i[8:10] for i in self.ids)
        if self.sections[2] != want:
            raise Damage(f"{self.key}: the fingerprints are not the ids'")
        at = 0
        for b, (first,) in enumerate(struct.iter_unpack(
                "<I", self.sections[3])):
            while at < self.count and \
                    int.from_bytes(self.ids[at][:4], "big") >> \
                    (32 - self.bits) < b:
                at += 1
            if first != at:
                raise Damage(f"{self.key}: bucket {b} begins at {first} and "
                             f"not at {at}")

    def place(self, i):
        pack, ordinal, offset, sealed, plain = self.places[i]
        return SimpleNamespace(pack=self.packs[pack], ordinal=ordinal,
                               offset=offset, sealed=sealed, plain=plain,
                               id=self.ids[i])

    def find(self, blob_id):
        i = bisect_left(self.ids, blob_id)
        while i < self.count and self.ids[i] == blob_id:
            yield self.place(i)
            i += 1


class Index:
    """All segments in force: those of sessions that the highest manifest does
    not cover, and the merged ones that it names."""

    def __init__(self, repo):
        self.segments, self.merged_aside = [], []
        keys = repo.store.list("index")
        merged, covered = self._manifest(repo, keys)
        for key in keys:
            if objects.kinds_of(key) != (7,):
                continue
            if key in covered or (key.startswith("index/merged/") and
                                  int(key.split("/")[2], 16) not in merged):
                self.merged_aside.append(key)
                continue
            if not key.startswith("index/merged/") and \
                    not repo.segment_stands(key.split("/")[1],
                                            key.split("/")[2],
                                            int(key.split("/")[3], 16)):
                continue
            data = repo.store.get(key)
            objects.header(key, data)
            self.segments.append(Segment(repo, key, data))

    @staticmethod
    def _manifest(repo, keys):
        manifests = [k for k in keys if objects.kinds_of(k) == (8,)]
        if not manifests:
            return (), ()
        data = repo.store.get(manifests[-1])
        repo.signed_by_a(manifests[-1], data)
        said = objects.manifest(manifests[-1], data)
        for n in said.merged:
            if f"index/merged/{n:016x}" not in keys:
                raise Damage(f"{manifests[-1]}: merged segment {n:x} is gone")
            if n >> 24 > int(manifests[-1].split("/")[2], 16):
                raise Damage(f"{manifests[-1]}: merged segment {n:x} is of a "
                             "later manifest")
        return set(said.merged), set(said.covered)

    def find(self, blob_id):
        for segment in self.segments:
            yield from segment.find(blob_id)
