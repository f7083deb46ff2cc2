"""All of a repository against FORMAT.md."""

import struct
from types import SimpleNamespace

import ciphers
import maps
import objects
import packs
import pages
import parity
from segments import Index, Segment
from wire import Damage, NotAllowed, text


class Verifier:
    def __init__(self, repo, say):
        """say(text) is told each fault, and what is odd but none."""
        self.repo, self.say = repo, say
        self.faults = 0
        self.seen = dict.fromkeys(("packs", "blobs", "segments", "entries",
                                   "snapshots", "pages", "chunks"), 0)
        self.packs, self.opened = {}, {}
        self.checked, self.maps = set(), {}

    def fault(self, what):
        self.faults += 1
        self.say(str(what))

    def all(self):
        """Return the number of faults."""
        keys = self.repo.store.list()
        for text in self.repo.unbelieved:
            self.fault(text)
        for key in keys:
            try:
                self._object(key)
            except (Damage, NotAllowed) as e:
                self.fault(e)
        self._parities()
        self._segments()
        self._snapshots()
        return self.faults

    # One object after the other.

    def _object(self, key):
        kinds = objects.kinds_of(key)
        if not kinds:
            self.say(f"{key}: no object has such a name; it is left alone")
            return
        data = self.repo.store.get(key)
        kind, _ = objects.header(key, data)
        check = {
            1: self._of_a(objects.config), 2: self._of_a(objects.cert),
            3: self._wrap, 4: self._end, 5: self._grant,
            6: self._pack, 7: self._segment, 8: self._of_a(objects.manifest),
            9: None, 10: self.repo.revocation,
            11: self._of_a(objects.note), 12: self._session,
            13: self._of_a(objects.mark), 14: self._of_a(objects.verdict),
            15: self._dead, 16: self._of_a(objects.bad),
            17: self._of_a(objects.checked), 18: self._parity}[kind]
        if check:
            check(key, data)

    def _of_a(self, decode):
        def check(key, data):
            self.repo.signed_by_a(key, data)
            decode(key, data)
        return check

    def _wrap(self, key, data):
        if objects.header(key, data)[1]:
            raise Damage(f"{key}: a wrap has no epoch")
        objects.wrap(key, data)

    @staticmethod
    def _end(key, data):
        if ciphers.sha256(data).hex() != key[-64:]:
            raise Damage(f"{key}: another hash than its name")
        objects.end(key, data)

    def _grant(self, key, data):
        n = int(key.split("/")[1], 16)
        by = objects.header(key, data)[1]
        if by not in (n - 1, n):
            raise Damage(f"{key}: signed in epoch {by}")
        if data[16:24].hex() != key.split("/")[3]:
            raise Damage(f"{key}: for another slot")
        if n in self.repo.epochs and key.split("/")[2] != ciphers.sha256(
                self.repo.epochs[n].a)[:8].hex():
            raise Damage(f"{key}: of an attempt that no config names")
        self.repo.signed_by_a(key, data)

    def _session(self, key, data):
        epoch = self.repo.signed_by_slot(key, data, key.split("/")[1])
        plain = ciphers.xseal_open(epoch.k_session, objects.bind(key, data),
                                   data[16:-72], key)
        objects.session_content(key, plain)

    def _dead(self, key, data):
        if ciphers.sha256(data).hex() != key[-64:]:
            raise Damage(f"{key}: another hash than its name")
        epoch = self.repo.epoch(objects.header(key, data)[1], key)
        ad = objects.bind(key[:-65], data)
        objects.dead_list(key, ciphers.xseal_open(epoch.k_dead, ad, data[16:],
                                                  key))

    def _pack(self, key, data):
        pack = packs.read_pack(self.repo, key, data)
        self.seen["packs"] += 1
        self.packs[pack.name] = pack
        if pack.key is None:
            return
        domains = self.repo.all_domains()
        for n, e in enumerate(pack.entries):
            what = f"{key} blob {n}"
            try:
                packs.open_blob(self.repo, domains, pack.kind, pack.key, n,
                                e.id, e.plain, data[e.offset:e.offset +
                                                    e.sealed], what)
            except Damage as damage:
                self.fault(damage)
            self.seen["blobs"] += 1

    def _segment(self, key, data):
        self.seen["segments"] += 1
        segment = Segment(self.repo, key, data)
        self.seen["entries"] += segment.count
        self.opened[key] = segment

    def _segments(self):
        """What the index says of packs against what they say themselves."""
        for key, segment in self.opened.items():
            for p in segment.packs:
                pack = self.packs.get(p.name)
                if pack and (p.size, p.epoch, p.kind, p.method, p.slot,
                             p.sealed_key) != (
                        pack.size, pack.epoch, pack.kind, pack.method,
                        pack.slot, pack.sealed_key):
                    self.fault(f"{key}: {packs.key_of(p.name)} is another")
            for i in range(segment.count):
                place = segment.place(i)
                pack = self.packs.get(place.pack.name)
                if not pack:
                    continue
                e = pack.entries[place.ordinal] \
                    if place.ordinal < len(pack.entries) else None
                if e is None or (e.id, e.offset, e.sealed, e.plain) != (
                        place.id, place.offset, place.sealed, place.plain):
                    self.fault(f"{key}: entry {i} is not what the directory "
                               f"of {packs.key_of(place.pack.name)} says")

    # Parity.

    def _parity(self, key, data):
        p = objects.parity(key, data)
        name = key.replace("parity/", "packs/", 1)
        if not self.repo.store.has(name):
            return
        parity.check(key, p, self.repo.store.get(name))

    def _parities(self):
        """Packs and parity go together when the config wants it."""
        if not any(self.repo.config.parity):
            return
        for name in self.packs:
            key = f"parity/{name.hex()[:2]}/{name.hex()}"
            if not self.repo.store.has(key):
                self.fault(f"{key}: not there")

    # Snapshots and all below them.

    def _snapshots(self):
        try:
            blobs = packs.Blobs(self.repo, Index(self.repo))
        except Damage as e:
            self.fault(e)
            return
        found, doubts = self.repo.snapshots()
        for text in doubts:
            self.fault(text)
        by_name = {(s.slot, s.session): s for s in found}
        for s in found:
            try:
                self._snapshot(blobs, s, by_name)
            except (Damage, NotAllowed) as e:
                self.fault(f"{s.key}: {e}")

    def _snapshot(self, blobs, s, by_name):
        self.seen["snapshots"] += 1
        s1 = s.s1
        before = by_name.get((s.slot, s1.before))
        if before and (before.hash != s1.before_hash or
                       before.s1.counter + 1 != s1.counter or
                       before.s1.volume != s1.volume):
            raise Damage("not the successor of the one that it names")
        if s1.type == 2 or s.s2 is None:
            return
        domain = self.repo.domain(s1.domain, s.epoch)
        if s1.content == 2:
            self._byte_map(blobs, domain, s1.root, s1.size)
            if (s1.root.entries if s1.root else 0) != s1.entries:
                raise Damage(f"{s1.entries} entries are not those of its map")
            return
        tree = self._catalog(blobs, domain, s, s.s2.catalog)
        self._state(blobs, domain, s1.root, tree)

    def _catalog(self, blobs, domain, s, root):
        levels, starts, listed = {}, {}, []
        counts = dict.fromkeys(range(1, 8), 0)
        size = 0
        for e in maps.entries(blobs, domain, root, levels):
            listed.append(e)
            counts[e.type] += 1
            if e.content is not None:
                self._content(blobs, domain, e.content)
                size += e.content.size
        self._canonical(levels)
        for blob_id, leaf in maps.leaves(blobs, domain, pages.CATALOG, root):
            starts[blob_id] = leaf
        s1, s2 = s.s1, s.s2
        others = sum(counts.values()) - counts[pages.FILE] - counts[pages.DIR]
        if (len(listed), counts[pages.FILE], counts[pages.DIR], others, size) \
                != (s1.entries, s2.files, s2.directories, s2.others, s1.size):
            raise Damage(f"{len(listed)} entries, {counts} and {size} bytes "
                         f"are not what it says: {s1.entries}, {s2.files}, "
                         f"{s2.directories}, {s2.others} and {s1.size}")
        return SimpleNamespace(entries=listed, starts=starts)

    def _canonical(self, levels):
        self.seen["pages"] += sum(map(len, levels.values()))
        maps.check_cuts(levels)

    def _content(self, blobs, domain, c):
        if c.kind == pages.MAP:
            self._byte_map(blobs, domain, c.root, c.size)
        elif c.kind == pages.SLICE:
            if len(blobs.get(domain, 1, c.id)) != c.plain:
                raise Damage(f"chunk {c.id.hex()}: not of {c.plain} bytes")
            self.seen["chunks"] += 1
        else:
            self._runs(blobs, domain, maps.content_runs(blobs, domain, c))

    def _byte_map(self, blobs, domain, root, size):
        levels = {}
        self._runs(blobs, domain, maps.runs(blobs, domain, root, size,
                                            levels))
        self._canonical(levels)

    def _runs(self, blobs, domain, some):
        for _, r in some:
            if r.kind == pages.RUN_CHUNK and (r.id, r.length) not in \
                    self.checked:
                maps.chunk(blobs, domain, r)
                self.checked.add((r.id, r.length))
                self.seen["chunks"] += 1

    def _state(self, blobs, domain, root, tree):
        """The state against the catalog: the same entries but those whose
        names have equal hashes, in the same order."""
        levels = {}
        want = self._stated(tree.entries)
        starts = dict(tree.starts)
        for _, leaf in maps.leaves(blobs, domain, pages.STATE, root, levels):
            for e in leaf.entries:
                it = next(want, None)
                if it is None or it[0] != e.key:
                    raise Damage(f"{leaf.what}: not the catalog's entries")
                self._state_entry(leaf, domain, e, it[1])
                if e.mark in (None, objects.NO_ID):
                    continue
                start = starts.pop(e.mark, None)
                if start is None or start.entries[0].key != it[1].key:
                    raise Damage(f"{leaf.what}: a mark where no leaf of the "
                                 "catalog begins")
        if next(want, None) is not None:
            raise Damage("the state ends before the catalog")
        left_out = len(tree.entries) - sum(1 for _ in self._stated(
            tree.entries))
        if starts and not left_out:
            raise Damage(f"{len(starts)} leaves of the catalog have no mark")
        self._canonical(levels)

    @staticmethod
    def _stated(entries):
        """Keys of the state, with their entries, for those of a catalog."""
        keys = [(tuple(h for h, _ in path), h)
                for path, (h, _) in (e.key for e in entries)]
        twice = {a for a, b in zip(keys, keys[1:]) if a == b}
        for (path, h), e in zip(keys, entries):
            if twice and ((path, h) in twice or any(
                    (path[:i], path[i]) in twice for i in range(len(path)))):
                continue
            yield (path, h), e

    def _state_entry(self, leaf, domain, e, entry):
        what = f"{leaf.what}: {text(b'/'.join(entry.path + (entry.name,)))}"
        if e.type != entry.type:
            raise Damage(f"{what}: of type {e.type}")
        # Of content that ends early the whole file's size is told nowhere.
        if not e.bits & 2 and (not e.bits & 1 or any(e.digest)):
            self._digest(domain, e, entry, what)
        mine, its = entry.content, e.content
        if its is not None:
            plain = vars(mine) | {"inline": None} if mine else {}
            if repr(plain) != repr(vars(its)):
                raise Damage(f"{what}: another content")

    @staticmethod
    def _digest(domain, e, entry, what):
        size = entry.content.size if entry.content else 0
        digest = struct.pack("<QI", ciphers.siphash(
            domain.k_state, struct.pack("<BBQqI", 0, e.type, size,
                                        *entry.mtime)),
            ciphers.siphash(domain.k_state, struct.pack(
                "<BqI", 1, *entry.ctime)) & 0xffffffff)
        if digest != e.digest[:12]:
            raise Damage(f"{what}: another digest")
        if entry.hard and e.digest[12:] != struct.pack(
                "<I", ciphers.siphash(domain.k_state, struct.pack(
                    "<BQ", 2, entry.hard[1])) & 0xffffffff):
            raise Damage(f"{what}: of another inode")
