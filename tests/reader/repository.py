"""Opening a repository: FORMAT.md, section 3.

What is believed begins with the secret and ends with what it names; never
with a public key because the repository holds it.
"""

import os
import re
from types import SimpleNamespace

import ciphers
import objects
from ciphers import derive
from objects import A, ADMIN, WRITE
from wire import Damage, NotAllowed


class Directory:
    """The objects of a repository in a local directory."""

    def __init__(self, path):
        self.path = path
        if not os.path.isdir(os.path.join(path, "config")):
            raise Damage(f"{path}: no repository")

    def list(self, prefix=""):
        """All keys under a folder, ascending, and what is no key."""
        keys = []
        top = os.path.join(self.path, prefix)
        for folder, folders, files in os.walk(top):
            folders.sort()
            inside = os.path.relpath(folder, self.path)
            inside = "" if inside == "." else inside + "/"
            keys += [inside + name for name in files]
        return sorted(keys)

    def get(self, key):
        try:
            with open(os.path.join(self.path, key), "rb") as f:
                return f.read()
        except FileNotFoundError:
            raise Damage(f"{key}: not there") from None

    def part(self, key, at, size):
        try:
            with open(os.path.join(self.path, key), "rb") as f:
                return os.pread(f.fileno(), size, at)
        except FileNotFoundError:
            raise Damage(f"{key}: not there") from None

    def has(self, key):
        return os.path.exists(os.path.join(self.path, key))


class Epoch:
    """The keys of one epoch; x and r are None without the rights to them."""

    def __init__(self, given, key):
        self.n, self.p, self.a = given.n, given.p, given.a
        self.x, self.r = given.x, given.r
        index = given.k_idx
        for name in ("segment", "directory", "footer", "pack", "snapshot",
                     "session", "dead"):
            setattr(self, "k_" + name, derive(index, "wherry/1/" + name))
        if self.x and ciphers.x_public(self.x) != self.p:
            raise Damage(f"{key}: X and P of epoch {self.n} are no pair")
        if self.r and not (
                derive(self.r, "wherry/1/content") == self.x and
                derive(self.r, "wherry/1/index") == index and
                ciphers.ed_public(derive(self.r, "wherry/1/admin")) == self.a):
            raise Damage(f"{key}: R of epoch {self.n} has other keys")

    def same(self, other):
        return (self.n, self.p, self.a, self.k_segment) == \
            (other.n, other.p, other.a, other.k_segment)


class Domain:
    """The keys of one deduplication domain."""

    def __init__(self, k_id, k_ord):
        self.k_id, self.k_ord = k_id, k_ord
        self.k_vol = derive(k_ord, "wherry/1/volume")
        self.k_state = derive(k_ord, "wherry/1/state")
        self._h = {b"": 0}

    def id(self, kind, plain):
        return ciphers.hmac(self.k_id, bytes([kind]) + plain)

    def h(self, name):
        """Where a name stands; the empty one is before all."""
        h = self._h.get(name)
        if h is None:
            h = self._h[name] = ciphers.siphash(self.k_ord, name)
        return h


class Repository:
    def __init__(self, store, passphrase=None, key_file=None):
        """passphrase: bytes; key_file: the path of one."""
        self.store = store
        self._open_wrap(passphrase, key_file)
        self._read_config()
        self._read_certs()

    # The secret half.

    def _open_wrap(self, passphrase, key_file):
        slot = ""
        if key_file:
            with open(key_file, encoding="ascii") as f:
                m = re.fullmatch("wherry-key-1 ([0-9a-f]{16}) "
                                 "([0-9a-f]{64})\n?", f.read())
            if not m:
                raise NotAllowed(f"{key_file}: no key file")
            slot, secret = m[1], bytes.fromhex(m[2])
        for key in self.store.list("keys"):
            if objects.kinds_of(key) != (3,) or slot not in key.split("/")[1]:
                continue
            data = self.store.get(key)
            if objects.header(key, data)[1] != 0:
                raise Damage(f"{key}: a wrap has no epoch")
            wrap = objects.wrap(key, data)
            if wrap.method == 1 and passphrase is not None:
                p = ciphers.argon2id(passphrase, wrap.salt, wrap.ops,
                                     wrap.memory)
            elif wrap.method == 2 and key_file:
                p = secret
            else:
                continue
            try:
                plain = ciphers.xseal_open(derive(p, "wherry/1/wrap"), wrap.ad,
                                           wrap.sealed, key)
            except Damage:
                continue
            self.slot = key.split("/")[1]
            self.secret = objects.wrapped_secret(key, plain)
            self.id, self.family = self.secret.repository, self.secret.family
            return
        raise NotAllowed("the secret opens no credential here")

    # Epochs, each vouched for by the one before, and all by a config.

    def _read_config(self):
        """The highest config that the own grants lead to."""
        doubts = []
        for key in reversed(self.store.list("config")):
            if objects.kinds_of(key) != (1,):
                continue
            data = self.store.get(key)
            try:
                self.epochs, self.grant = {}, None
                self.config = objects.config(key, data)
                self._follow_epochs(self.config.admins)
                self.signed_by_a(key, data)
            except Damage as e:
                doubts.append(str(e))
                continue
            break
        else:
            raise Damage("no config that counts: " + "; ".join(doubts))
        c = self.config
        if (c.repository, c.family) != (self.id, self.family):
            raise Damage(f"{key}: of another repository")
        if c.to_read:
            raise Damage("this reader lacks: " + ", ".join(
                f.decode("utf-8", "replace") for f in c.to_read))
        if c.epoch not in self.epochs:
            raise NotAllowed(f"slot {self.slot} was left out of epoch "
                             f"{c.epoch}")

    def _follow_epochs(self, admins):
        n, a = self.secret.epoch, self.secret.a_public
        if admins[n - 1:n] != [a]:
            raise Damage(f"another A of epoch {n} than the credential's")
        for n, named in enumerate(admins[n - 1:], n):
            key = f"epochs/{n:08x}/{ciphers.sha256(named)[:8].hex()}/" + \
                self.slot
            if not self.store.has(key):
                if self.grant is None:
                    raise NotAllowed(f"{key}: nothing was granted")
                break
            data = self.store.get(key)
            _, by = objects.header(key, data)
            if by == n and self.grant is None:
                signer = a
            elif by == n - 1 and self.grant is not None:
                signer = self.epochs[by].a
            else:
                raise Damage(f"{key}: signed in epoch {by}")
            if data[-72:-64] != A:
                raise Damage(f"{key}: not signed by A")
            self._check(signer, key, data)
            if data[16:24].hex() != self.slot:
                raise Damage(f"{key}: for another slot")
            plain = ciphers.box_open(self.secret.x_secret, data[24:-72], key)
            self._take_grant(key, objects.grant_content(key, plain), a)
            if self.epochs[n].a != named:
                raise Damage(f"{key}: another A than config names")

    def _take_grant(self, key, grant, a):
        epochs = {e.n: Epoch(e, key) for e in grant.epochs}
        for n, known in self.epochs.items():
            if n not in epochs or not epochs[n].same(known):
                raise Damage(f"{key}: epoch {n} is another")
        if epochs[self.secret.epoch].a != a:
            raise Damage(f"{key}: another A of epoch {self.secret.epoch}")
        self.epochs, self.grant = epochs, grant
        self.domains = {}
        for f in grant.families:
            own = self.domain(grant.domain, f.since)
            if (own.k_id, own.k_ord) != (f.k_id, f.k_ord):
                raise Damage(f"{key}: its keys are not those of F")
            if f.f and f.k_cut and f.k_cut != derive(
                    f.f, b"wherry/1/cut/" + grant.domain):
                raise Damage(f"{key}: its K_cut is not that of F")

    def domain(self, name, n):
        """The keys of a domain, which may be another than the own, as an
        object of epoch n uses them."""
        held = [f for f in self.grant.families if f.since <= n]
        if not held:
            raise NotAllowed(f"the family secret of epoch {n} is not ours")
        f = held[-1]
        if (name, f.since) not in self.domains:
            if f.f:
                keys = Domain(derive(f.f, b"wherry/1/id/" + name),
                              derive(f.f, b"wherry/1/order/" + name))
            elif name == self.grant.domain:
                keys = Domain(f.k_id, f.k_ord)
            else:
                raise NotAllowed(f"domain {name!r} is not ours")
            self.domains[name, f.since] = keys
        return self.domains[name, f.since]

    def all_domains(self):
        """The keys of all domains that are known, of all family secrets."""
        found = []
        names = {c.domain for c in self.certs.values()} | {self.grant.domain}
        for f in self.grant.families:
            for name in sorted(names):
                try:
                    found.append(self.domain(name, f.since))
                except NotAllowed:
                    continue
        return found

    def epoch(self, n, what):
        if n not in self.epochs:
            raise Damage(f"{what}: of epoch {n}, which is not known")
        return self.epochs[n]

    # Signatures.

    def message(self, key, digest):
        name = key.encode()
        return b"wherry/1/sign" + self.id + \
            len(name).to_bytes(2, "little") + name + digest

    def _check(self, public, key, data, digest=None):
        digest = digest or ciphers.sha256(data[:-64])
        if not ciphers.ed_verify(public, data[-64:],
                                 self.message(key, digest)):
            raise Damage(f"{key}: the signature is not valid")

    def signed_by_a(self, key, data, digest=None):
        """Check an object of A; return its epoch."""
        _, n = objects.header(key, data)
        if len(data) < 16 + 72 or data[-72:-64] != A:
            raise Damage(f"{key}: not signed by A")
        self._check(self.epoch(n, key).a, key, data, digest)
        return self.epochs[n]

    def signed_by_slot(self, key, data, slot, digest=None):
        """Check an object of a slot (hex); return its epoch."""
        _, n = objects.header(key, data)
        if len(data) < 16 + 72 or data[-72:-64].hex() != slot:
            raise Damage(f"{key}: not signed by {slot}")
        self._check(self.writer(slot, key).ed_public, key, data, digest)
        return self.epoch(n, key)

    def writer(self, slot, what):
        """The certificate of a slot that may have written."""
        if slot not in self.certs:
            raise Damage(f"{what}: slot {slot} has no certificate")
        cert = self.certs[slot]
        if not cert.rights & (WRITE | ADMIN):
            raise Damage(f"{what}: slot {slot} may not write")
        return cert

    def stood(self, slot, session):
        """What counts of a session whose slot has ended, or None."""
        for s in self.ends[slot].stood:
            if s.session == session:
                return s
        return None

    def snapshot_stands(self, slot, session, data):
        s = slot in self.ends and self.stood(slot, session)
        return slot not in self.ends or \
            s is not None and s.snapshot == ciphers.sha256(data)

    def segment_stands(self, slot, session, k):
        s = slot in self.ends and self.stood(slot, session)
        return slot not in self.ends or s is not None and k <= s.segments

    # What A says of the credentials.

    def _read_certs(self):
        self.certs, self.ends, self.unbelieved = {}, {}, []
        for key in self.store.list("keys"):
            if objects.kinds_of(key) != (2,):
                continue
            try:
                data = self.store.get(key)
                self.signed_by_a(key, data)
                self.certs[key.split("/")[1]] = objects.cert(key, data)
            except Damage as e:
                self.unbelieved.append(str(e))
        if any(slot.hex() == self.slot for slot, _ in self.config.ended):
            raise NotAllowed(f"slot {self.slot} has been removed")
        for slot, digest in self.config.ended:
            key = f"keys/{slot.hex()}/end-{digest.hex()}"
            data = self.store.get(key)
            if ciphers.sha256(data) != digest:
                raise Damage(f"{key}: has another hash")
            self.ends[slot.hex()] = objects.end(key, data)
        own = self.certs.get(self.slot)
        if own and (own.x_public != ciphers.x_public(self.secret.x_secret) or
                    own.ed_public != ciphers.ed_public(self.secret.ed_seed)):
            raise Damage(f"keys/{self.slot}/cert: not of this secret")

    # Snapshots.

    def snapshots(self):
        """Those that exist, as objects with s1 and, when it can be opened,
        s2, oldest first; and what was not believed, as texts."""
        found, doubts = [], []
        for key in self.store.list("snapshots"):
            _, slot, session = (key.split("/") + ["", ""])[:3]
            try:
                data = self.store.get(key)
                kind, _ = objects.header(key, data)
                if kind == 10:
                    self.revocation(key, data)
                elif not self.snapshot_stands(slot, session, data):
                    doubts.append(f"{key}: its slot was removed before")
                elif not self._forgotten(slot, session):
                    found.append(self.snapshot(key, data))
            except Damage as e:
                doubts.append(str(e))
        found.sort(key=lambda s: (s.s1.start, s.key))
        return found, doubts

    def revocation(self, key, data):
        """Check one: an administrator's, or that of a session's own slot."""
        _, slot, session = key.split("/")
        if data[-72:-64] == A:
            self.signed_by_a(key, data)
        else:
            self.signed_by_slot(key, data, slot)
            s = slot in self.ends and self.stood(slot, session)
            if s and any(s.snapshot):
                raise Damage(f"{key}: in place of a snapshot that stands")
        objects.revocation(key, data)

    def _forgotten(self, slot, session):
        key = f"forgotten/{slot}/{session}"
        if not self.store.has(key):
            return False
        data = self.store.get(key)
        self.signed_by_a(key, data)
        objects.note(key, data)
        return True

    def snapshot(self, key, data):
        _, slot, session = key.split("/")
        epoch = self.signed_by_slot(key, data, slot)
        one, two = objects.snapshot_parts(key, data)
        ad = objects.bind(key, data)
        s = SimpleNamespace(key=key, slot=slot, session=session,
                            id=session[-16:], s2=None, epoch=epoch.n,
                            hash=ciphers.sha256(data))
        s.s1 = objects.snapshot_s1(key, ciphers.xseal_open(
            epoch.k_snapshot, ad, one, key))
        if s.s1.volume.hex()[:16] != session[:16]:
            raise Damage(f"{key}: of another volume than its name says")
        if s.s1.domain != self.certs[slot].domain and s.s1.origin is None:
            raise Damage(f"{key}: of another domain than its slot")
        if epoch.x:
            s.s2 = objects.snapshot_s2(key, ciphers.box_open(epoch.x, two,
                                                             key))
            try:
                k_vol = self.domain(s.s1.domain, epoch.n).k_vol
            except NotAllowed:
                k_vol = None
            if k_vol and ciphers.hmac(k_vol, s.s2.volume_name) != s.s1.volume:
                raise Damage(f"{key}: the volume's name has another hash")
            if s.s1.content == 2 and s.s2.catalog:
                raise Damage(f"{key}: a block volume with a catalog")
        return s
