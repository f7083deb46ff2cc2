#!/usr/bin/env python3
"""The reader's own parts against published vectors, and refusals."""

import os
import sys
import tempfile
import unittest
from types import SimpleNamespace

import nacl.bindings
from cryptography.hazmat.primitives.asymmetric import ed25519

sys.dont_write_bytecode = True

import ciphers  # noqa: E402
import maps  # noqa: E402
import objects  # noqa: E402
import packs  # noqa: E402
import pages  # noqa: E402
import parity  # noqa: E402
import repository  # noqa: E402
from repository import Domain  # noqa: E402
from wire import Cursor, Damage, NotAllowed, put_var, var_size  # noqa: E402


class Vectors(unittest.TestCase):
    def test_siphash(self):
        # vectors_sip64 of the reference implementation
        key = bytes(range(16))
        for n, want in ((0, "310e0edd47db6f72"), (1, "fd67dc93c539f874"),
                        (7, "37d1018bf50002ab"), (8, "6224939a79f5f593"),
                        (15, "e545be4961ca29a1"), (63, "724506eb4c328a95")):
            got = ciphers.siphash(key + b"more", bytes(range(n)))
            self.assertEqual(got.to_bytes(8, "little").hex(), want)

    def test_crc64(self):
        self.assertEqual(ciphers.crc64(b"123456789"), 0x995dc9bbdf1939fa)
        self.assertEqual(ciphers.crc64(b""), 0)

    def test_crc64_by_liblzma(self):
        for n in (0, 1, 255, 256, 257, 4099, 65536, 65537, 200001, 200002):
            data = bytes(i * i >> 3 & 0xff for i in range(n))
            crc = ciphers.crc64(data)
            self.assertTrue(ciphers.crc64_is(data, crc))
            self.assertFalse(ciphers.crc64_is(data, crc ^ 1))
            self.assertFalse(ciphers.crc64_is(data + b"\0", crc))

    def test_hmac(self):  # RFC 4231, case 2
        self.assertEqual(
            ciphers.hmac(b"Jefe", b"what do ya want for nothing?").hex(),
            "5bdcc146bf60754e6a042426089575c7"
            "5a003f089d2739839dec58b964ec3843")

    def test_argon2id(self):  # the reference implementation's test.c
        self.assertEqual(
            ciphers.argon2id(b"password", b"somesalt", 2, 65536).hex(),
            "09316115d5cf24ed5a15a31a3ba326e5"
            "cf32edc24702987c02b6566f61913cf7")

    def test_ed25519(self):  # RFC 8032, 7.1, test 2
        public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc"
                               "9c982ccf2ec4968cc0cd55f12af4660c")
        signature = bytes.fromhex("92a009a9f0d4cab8720e820b5f642540"
                                  "a2b27b5416503f8fb3762223ebdb69da"
                                  "085ac1e43e15996e458f3613d0f11d8c"
                                  "387b2eaeb4302aeeb00d291612bb0c00")
        seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f"
                             "5b8a319f35aba624da8cf6ed4fb8a6fb")
        self.assertEqual(ciphers.ed_public(seed), public)
        self.assertTrue(ciphers.ed_verify(public, signature, b"\x72"))
        self.assertFalse(ciphers.ed_verify(public, signature, b"\x73"))

    def test_x25519(self):  # RFC 7748, 6.1
        self.assertEqual(
            ciphers.x_public(bytes.fromhex(
                "77076d0a7318a57d3c16c17251b26645"
                "df4c2f87ebc0992ab177fba51db92c2a")).hex(),
            "8520f0098930a754748b7ddcb43ef75a"
            "0dbf3a0d26381af4eba4a98eaa9b4e6a")

    def test_chacha20poly1305(self):  # RFC 8439, 2.8.2
        key = bytes(range(0x80, 0xa0))
        nonce = bytes.fromhex("070000004041424344454647")
        ad = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
        sealed = bytes.fromhex(
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
            "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
            "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
            "3ff4def08e4b7a9de576d26586cec64b6116"
            "1ae10b594f09e26a7e902ecbd0600691")
        plain = ciphers.chacha_open(key, nonce, ad, sealed, "test")
        self.assertTrue(plain.startswith(b"Ladies and Gentlemen of the"))
        with self.assertRaises(Damage):
            ciphers.chacha_open(key, nonce, ad + b"x", sealed, "test")

    def test_xchacha20poly1305(self):  # draft-irtf-cfrg-xchacha-03, A.3.1
        key = bytes(range(0x80, 0xa0))
        nonce = bytes(range(0x40, 0x58))
        ad = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
        sealed = bytes.fromhex(
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
            "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
            "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
            "21f9664c97637da9768812f615c68b13b52e"
            "c0875924c1c7987947deafd8780acf49")
        plain = ciphers.xseal_open(key, ad, nonce + sealed, "test")
        self.assertTrue(plain.startswith(b"Ladies and Gentlemen of the"))
        with self.assertRaises(Damage):
            ciphers.xseal_open(key, ad, nonce + sealed[:-1], "test")


class Numbers(unittest.TestCase):
    def var(self, hexes):
        c = Cursor(bytes.fromhex(hexes), "test")
        value = c.var()
        c.end()
        return value

    def test_var(self):  # DWARF 4, figure 22, and the ends
        for value, hexes in ((2, "02"), (127, "7f"), (128, "8001"),
                             (129, "8101"), (12857, "b964"), (0, "00"),
                             (624485, "e58e26"),
                             ((1 << 64) - 1, "ffffffffffffffffff01")):
            self.assertEqual(self.var(hexes), value)
            self.assertEqual(put_var(value).hex(), hexes)
            self.assertEqual(var_size(value), len(hexes) // 2)

    def test_var_refused(self):
        for hexes in ("", "80", "8000", "ff00", "ffffffffffffffffff02",
                      "8080808080808080808001", "0000"):
            with self.assertRaises(Damage):
                self.var(hexes)

    def test_zigzag(self):
        for hexes, value in (("00", 0), ("01", -1), ("02", 1), ("03", -2),
                             ("ffffffffffffffffff01", -(1 << 63)),
                             ("feffffffffffffffff01", (1 << 63) - 1)):
            self.assertEqual(Cursor(bytes.fromhex(hexes), "test").zz(), value)

    def test_list_that_cannot_be(self):
        c = Cursor(put_var(1 << 62) + bytes(100), "test")
        with self.assertRaises(Damage):
            c.list(c.u8)


DOMAIN = Domain(bytes(32), bytes(range(32)))


def string(raw):
    return put_var(len(raw)) + raw


def directory(kept, *rest):
    return b"\1" + put_var(kept) + put_var(len(rest)) + b"".join(
        map(string, rest))


def entry(name, type_=pages.FIFO, bits=0, tail=b""):
    return b"\2" + string(name) + bytes([type_]) + put_var(bits) + \
        put_var(0o644) + bytes(2) + bytes(4) + tail


def leaf(count, *items, type_=pages.CATALOG):
    return bytes([type_, 0]) + put_var(count) + b"".join(items)


class Pages(unittest.TestCase):
    def page(self, plain, map_type=pages.CATALOG):
        return pages.Page(plain, DOMAIN, map_type, "test")

    def refused(self, plain, map_type=pages.CATALOG):
        with self.assertRaises(Damage):
            self.page(plain, map_type)

    def test_a_leaf(self):
        p = self.page(leaf(2, directory(0), entry(b"", pages.DIR),
                           directory(0, b"a"), entry(b"x")))
        self.assertEqual([(e.path, e.name) for e in p.entries],
                         [((), b""), ((b"a",), b"x")])

    def test_counts_and_rests(self):
        whole = leaf(1, directory(0), entry(b"x"))
        self.page(whole)
        self.refused(whole + b"\0")
        self.refused(whole[:-1])
        self.refused(leaf(0))
        self.refused(leaf(2, directory(0), entry(b"x")))
        self.refused(leaf(1, directory(0), entry(b"x"), directory(0, b"a")))
        self.refused(whole, pages.STATE)

    def test_directories(self):
        self.refused(leaf(1, entry(b"x")))
        self.refused(leaf(1, directory(1), entry(b"x")))
        self.refused(leaf(1, directory(0, b"a"), directory(0, b"b"),
                          entry(b"x")))
        first = directory(0, b"a", b"b"), entry(b"x")
        self.refused(leaf(2, *first, directory(2), entry(b"y")))
        self.refused(leaf(2, *first, directory(0, b"a", b"b", b"c"),
                          entry(b"y")))
        self.page(leaf(2, *first, directory(2, b"c"), entry(b"y")))

    def test_names(self):
        for name in (b".", b"..", b"a/b", b"a\0b"):
            self.refused(leaf(1, directory(0), entry(name)))
            self.refused(leaf(1, directory(0, name), entry(b"x")))
        self.refused(leaf(1, directory(0, b"a"), entry(b"", pages.DIR)))
        self.refused(leaf(1, directory(0), entry(b"", pages.FIFO)))
        self.page(leaf(1, directory(0), entry(b"...")))

    def test_order(self):
        names = sorted((b"%d" % i for i in range(9)), key=DOMAIN.h)
        self.page(leaf(9, directory(0), *map(entry, names)))
        names[3], names[4] = names[4], names[3]
        self.refused(leaf(9, directory(0), *map(entry, names)))
        self.refused(leaf(2, directory(0), entry(b"x"), entry(b"x")))

    def test_bits(self):
        def one(*how):
            return leaf(1, directory(0), entry(b"x", *how))
        self.page(one(pages.LINK, 16, string(b"to")))
        self.refused(one(pages.LINK))
        self.refused(one(pages.FIFO, 16, string(b"to")))
        self.refused(one(pages.FIFO, 512))
        self.page(one(pages.CHAR, 32, b"\1\3"))
        self.refused(one(pages.CHAR))
        self.page(one(pages.FILE, 64, b"\3\1abc"))
        self.refused(one(pages.FILE))
        self.page(one(pages.FILE, 256))
        xattrs = [string(b"user.a") + string(b""), string(b"user.b") +
                  string(b"value")]
        self.page(one(pages.FIFO, 2, b"\2" + b"".join(xattrs)))
        self.refused(one(pages.FIFO, 2, b"\2" + b"".join(xattrs[::-1])))
        self.refused(one(pages.FIFO, 2, b"\0"))

    def test_content(self):
        def of(size, c):
            return leaf(1, directory(0), entry(b"x", pages.FILE, 64,
                                               put_var(size) + c))
        some = b"\7" * 32
        self.page(of(0, b"\0"))
        self.page(of(9, b"\2" + some + put_var(20) + put_var(11)))
        self.refused(of(9, b"\2" + some + put_var(20) + put_var(12)))
        self.page(of(9, b"\3\2" + b"\0\4" + b"\2\5" + some))
        self.refused(of(9, b"\3\2" + b"\0\4" + b"\2\4" + some))
        self.refused(of(9, b"\3\2" + b"\0\x09" + b"\1\0"))
        self.refused(of(9, b"\4" + bytes(41)))
        self.refused(of(9, b"\5"))

    def test_state_marks(self):
        def of(name):
            return b"\2" + DOMAIN.h(name).to_bytes(8, "little") + b"\6\0" + \
                bytes(16)
        def page(*items):
            return leaf(1, *items, type_=pages.STATE)
        mark = b"\3" + b"\7" * 32
        p = self.page(page(b"\1\0\0", mark, of(b"x")), pages.STATE)
        self.assertEqual(p.entries[0].mark, mark[1:])
        self.refused(page(mark, b"\1\0\0", of(b"x")), pages.STATE)
        self.refused(page(b"\1\0\0", mark, mark, of(b"x")), pages.STATE)
        self.refused(page(b"\1\0\0", of(b"x"), mark), pages.STATE)

    def test_inner_page(self):
        def child(name, below=3, blob=b"\7" * 32):
            return b"\0" + string(name) + put_var(below) + blob
        a, b = sorted((b"a", b"b"), key=DOMAIN.h)
        head = bytes([pages.CATALOG, 1, 2])
        self.assertEqual(self.page(head + child(a) + child(b)).below, 6)
        self.refused(head + child(b) + child(a))
        self.refused(head + child(a) + child(b, 0))
        self.refused(head + child(a) + child(b, 3, bytes(32)))


class Cuts(unittest.TestCase):
    """The rule for where pages end, against a writer of byte maps that keeps
    to it, and to none other."""

    def write(self, count, least=16 << 10, most=256 << 10, grain=256):
        levels, row, level = {}, [(i * 4096, 1, None) for i in range(count)], 0
        while True:
            done, items = [], []
            for offset, below, _ in row:
                item = put_var(offset) + (
                    b"\2" + put_var(4096) + b"\7" * 32 if not level else
                    put_var(below) + b"\7" * 32)
                if items and sum(map(len, items)) + len(item) > most:
                    done.append(items)
                    items = []
                items.append(item)
                c = ciphers.siphash(DOMAIN.k_ord, b"\xfe" +
                                    offset.to_bytes(8, "little"))
                if sum(map(len, items)) >= least and \
                        c % grain == level % 251 and \
                        len(items) > (1 if level else 0):
                    done.append(items)
                    items = []
            done += [items] if items else []
            levels[level] = [pages.Page(
                bytes([pages.BYTES, level]) + put_var(len(p)) + b"".join(p),
                DOMAIN, pages.BYTES, "test") for p in done]
            if len(done) == 1:
                return levels
            row = [(p.entries[0].key, p.below, None) for p in levels[level]]
            level += 1

    def test_a_right_map(self):
        levels = self.write(4000)
        self.assertGreater(len(levels[0]), 2)
        maps.check_cuts(levels)

    def test_other_rules(self):
        for other in ({"least": 12 << 10}, {"least": 40 << 10},
                      {"grain": 64}, {"most": 20 << 10}):
            with self.assertRaises(Damage):
                maps.check_cuts(self.write(4000, **other))

    def test_a_top_page_with_one_child(self):
        levels = {0: self.write(1)[0]}
        levels[1] = [pages.Page(bytes([pages.BYTES, 1, 1]) + b"\0\1" +
                                b"\7" * 32, DOMAIN, pages.BYTES, "test")]
        with self.assertRaises(Damage):
            maps.check_cuts(levels)


GOLDEN = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..",
                      "golden", "format")


class Golden(unittest.TestCase):
    """The objects kept in tests/golden, of kinds that are rare in a
    repository too: all their bytes are understood."""

    def decode(self, name, key, how):
        with open(os.path.join(GOLDEN, name + ".hex"), encoding="ascii") as f:
            data = bytes.fromhex(f.read())
        kind_key = key(data) if callable(key) else key
        if data[:4] == b"WHRY":
            objects.header(kind_key, data)
        decoded = how(kind_key, data)
        for other in (data + b"\0", data[:-1]):
            if how in self.TO_THE_END:
                continue
            # the signature is behind the fields: it moves into them
            with self.assertRaises(Damage):
                how(kind_key, other)
        return decoded

    TO_THE_END = (objects.wrap,)

    def test_objects(self):
        h16 = "0123456789abcdef"
        for name, key, how in (
                ("bad", f"bad/{h16}", objects.bad),
                ("checked", f"checked/{h16}", objects.checked),
                ("manifest", f"index/manifest/{h16}", objects.manifest),
                ("mark", f"gc/{h16}/mark", objects.mark),
                ("verdict", f"gc/{h16}/verdict", objects.verdict),
                ("parity", f"parity/01/{h16}{h16}", objects.parity),
                ("config", "config/00000001", objects.config),
                ("cert", lambda d: f"keys/{d[16:24].hex()}/cert",
                 objects.cert),
                ("end", lambda d: f"keys/{d[16:24].hex()}/end-{'0' * 64}",
                 objects.end),
                ("note", lambda d: f"forgotten/{h16}/" +
                 d[17:17 + d[16]].decode(), objects.note),
                ("revocation", f"snapshots/{h16}/{h16}-{h16[:12]}-{h16}",
                 objects.revocation),
                ("wrap_whole", f"keys/{h16}/wrap/00000001", objects.wrap),
                ("dead", "dead", objects.dead_list),
                ("s1", "s1", objects.snapshot_s1),
                ("s2", "s2", objects.snapshot_s2)):
            with self.subTest(name):
                self.decode(name, key, how)


class Epochs(unittest.TestCase):
    """Two epochs, written here: who is believed, and who is not."""

    SLOT, ID, FAMILY, F = b"\x11" * 8, b"i" * 16, b"f" * 16, b"F" * 32
    F2, two = b"G" * 32, False

    def setUp(self):
        self.objects = {}
        self.roots = {n: bytes([n]) * 32 for n in (1, 2, 9)}
        self.x, self.ed = b"x" * 32, b"e" * 32
        secret = self.x + self.ed + self.ID + self.FAMILY + self.u32(1) + \
            ciphers.ed_public(self.a(1))
        slot = self.SLOT.hex()
        key = f"keys/{slot}/wrap/00000001"
        head, parameters = self.head(3, 0), b"\2" + bytes(24)
        self.objects[key] = head + parameters + self.xseal(
            ciphers.derive(b"k" * 32, "wherry/1/wrap"),
            objects.bind(key, head) + parameters, secret)
        self.put_grant(1, 1)
        self.put_grant(2, 1)
        self.sign(f"keys/{slot}/cert", 2, 1, self.SLOT + b"\7" + bytes(8) +
                  ciphers.x_public(self.x) + ciphers.ed_public(self.ed) +
                  b"\0\0")
        self.put_config(1, 1)
        self.put_config(2, 2, signed=1)

    @staticmethod
    def u32(n):
        return n.to_bytes(4, "little")

    def head(self, kind, epoch):
        return b"WHRY" + bytes([kind, 1, 0, 0]) + self.u32(epoch) + bytes(4)

    @staticmethod
    def xseal(key, ad, plain):
        nonce = b"n" * 24
        return nonce + nacl.bindings.\
            crypto_aead_xchacha20poly1305_ietf_encrypt(plain, ad, nonce, key)

    def a(self, n):
        return ciphers.derive(self.roots[n], "wherry/1/admin")

    def sign(self, key, kind, epoch, fields, by=None):
        """by: whose A signs, if not that of the epoch"""
        data = self.head(kind, epoch) + fields + bytes(8)
        message = b"wherry/1/sign" + self.ID + \
            len(key).to_bytes(2, "little") + key.encode() + \
            ciphers.sha256(data)
        self.objects[key] = data + ed25519.Ed25519PrivateKey.\
            from_private_bytes(self.a(by or epoch)).sign(message)

    def put_grant(self, n, epoch, by=None, first=1):
        families = [(1, self.F), (2, self.F2)][:n if self.two else 1]
        plain = self.u32(n) + b"\7\0" + put_var(len(families)) + b"".join(
            self.u32(since) + f + b"".join(
                ciphers.derive(f, f"wherry/1/{what}/")
                for what in ("id", "order", "cut"))
            for since, f in families) + put_var(n)
        for i in range(1, n + 1):
            root = self.roots[first if i == 1 else i]
            x = ciphers.derive(root, "wherry/1/content")
            plain += self.u32(i) + ciphers.x_public(x) + ciphers.ed_public(
                ciphers.derive(root, "wherry/1/admin")) + ciphers.derive(
                    root, "wherry/1/index") + x + root
        box = nacl.bindings.crypto_box_seal(plain, ciphers.x_public(self.x))
        tag = ciphers.sha256(ciphers.ed_public(self.a(n)))[:8].hex()
        self.sign(f"epochs/{n:08x}/{tag}/{self.SLOT.hex()}", 5, epoch,
                  self.SLOT + box, by)

    def put_config(self, m, epoch, by=None, signed=None, ended=(), names=None):
        """epoch: the current one; signed: in which, if not in it"""
        admins = names or range(1, epoch + 1)
        self.sign(f"config/{m:08x}", 1, signed or epoch, self.ID +
                  self.FAMILY + self.u32(epoch) +
                  bytes(8 + 20 + 20 + 4 + 2 + 4 + 4 + 3) +
                  put_var(epoch) + b"".join(
                      ciphers.ed_public(self.a(n)) for n in admins) +
                  put_var(len(ended)) + b"".join(
                      slot + digest for slot, digest in ended), by)

    def open(self):
        store = repository.Directory.__new__(repository.Directory)
        store.list = lambda prefix: sorted(
            k for k in self.objects if k.startswith(prefix + "/"))
        store.get = self.objects.__getitem__
        store.has = self.objects.__contains__
        with tempfile.NamedTemporaryFile("w") as f:
            f.write(f"wherry-key-1 {self.SLOT.hex()} {b'k'.hex() * 32}\n")
            f.flush()
            return repository.Repository(store, key_file=f.name)

    def refused(self):
        with self.assertRaises(Damage):
            self.open()

    def test_followed(self):
        repo = self.open()
        self.assertEqual(sorted(repo.epochs), [1, 2])
        self.assertEqual(repo.config.epoch, 2)
        self.assertEqual((list(repo.certs), repo.unbelieved),
                         ([self.SLOT.hex()], []))

    def test_two_family_secrets(self):
        one = self.open().domain(b"", 2)
        self.two = True
        self.put_grant(2, 1)
        repo = self.open()
        self.assertEqual(repo.domain(b"", 1).k_id, one.k_id)
        self.assertNotEqual(repo.domain(b"", 2).k_id, one.k_id)
        self.assertEqual(repo.domain(b"", 7).k_id, repo.domain(b"", 2).k_id)

    def test_a_grant_by_a_stranger(self):
        self.put_grant(2, 1, by=9)
        self.assertEqual(self.open().config.epoch, 1)

    def test_a_grant_that_vouches_for_itself(self):
        self.put_grant(2, 2)
        self.assertEqual(self.open().config.epoch, 1)

    def test_a_first_grant_by_a_stranger(self):
        self.put_grant(1, 1, by=9)
        self.refused()

    def test_a_grant_that_changes_the_past(self):
        self.put_grant(2, 1, first=9)
        self.assertEqual(self.open().config.epoch, 1)

    def test_a_config_by_a_stranger(self):
        for by, signed, names in ((9, None, None), (9, 1, None),
                                  (None, 2, (9, 2))):
            self.put_config(3, 2, by=by, signed=signed, names=names)
            with self.subTest((by, signed, names)):
                self.assertEqual(self.open().config.epoch, 2)
        self.put_config(4, 2)
        self.assertEqual(self.open().config.epoch, 2)

    def test_an_attempt_that_no_config_names(self):
        del self.objects["config/00000002"]
        self.assertEqual(sorted(self.open().epochs), [1])

    def test_a_slot_that_was_left_out(self):
        key = next(k for k in self.objects if k.startswith("epochs/00000002/"))
        del self.objects[key]
        with self.assertRaises(NotAllowed):
            self.open()

    def test_a_certificate_by_a_stranger(self):
        slot = b"\x22" * 8
        fields = slot + b"\1" + bytes(8) + bytes(64) + b"\0\0"
        self.sign(f"keys/{slot.hex()}/cert", 2, 2, fields, by=9)
        repo = self.open()
        self.assertNotIn(slot.hex(), repo.certs)
        self.assertEqual(len(repo.unbelieved), 1)
        self.sign(f"keys/{slot.hex()}/cert", 2, 2, fields)
        self.assertIn(slot.hex(), self.open().certs)

    def test_an_ended_slot(self):
        name = "0123456789abcdef-0123456789ab-0123456789abcdef"
        slot, data = b"\x22" * 8, b"its object"
        end = self.head(4, 2) + slot + bytes(8) + b"\1" + \
            string(name.encode()) + self.u32(3) + ciphers.sha256(data)
        digest = ciphers.sha256(end)
        key = f"keys/{slot.hex()}/end-{digest.hex()}"
        self.objects[key] = end
        repo = self.open()
        self.assertTrue(repo.snapshot_stands(slot.hex(), name, b"other"))
        self.put_config(3, 2, ended=((slot, digest),))
        repo = self.open()
        for session, content, k, stands in (
                (name, data, 3, True), (name, b"other", 4, False),
                (name.replace("0", "1"), data, 1, False)):
            self.assertEqual(repo.snapshot_stands(
                slot.hex(), session, content), stands)
            self.assertEqual(repo.segment_stands(
                slot.hex(), session, k), stands)
        self.objects[key] += b"x"
        self.refused()
        self.put_config(4, 2, ended=((self.SLOT, digest),))
        with self.assertRaises(NotAllowed):
            self.open()


class Others(unittest.TestCase):
    def test_padme(self):
        # by the paper: 9 has E = 3, S = 2, so 2^(3-2) divides; and so on
        for size, padded in ((8, 8), (9, 10), (10, 10), (1000, 1024),
                             (1 << 20, 1 << 20), ((1 << 20) + 1,
                                                  (1 << 20) + (1 << 15))):
            self.assertEqual(packs.padme(size), padded)

    def test_zstd_of_one_form(self):
        one = bytes.fromhex("28b52ffd2003190000616263")  # "abc", raw block
        self.assertEqual(packs._unpack(one, 3, "test"), b"abc")
        for other in (one + one, one + b"\0", one[:-1],
                      bytes.fromhex("28b52ffd0058190000616263"),
                      b"\x50\x2a\x4d\x18\0\0\0\0" + one, b""):
            with self.assertRaises(Damage):
                packs._unpack(other, 3, "test")
        with self.assertRaises(Damage):
            packs._unpack(one, 4, "test")

    def test_parity(self):
        p = SimpleNamespace(data=2, parity=1)
        # 1 / (2 xor 0) = 1/2 = 0x8e, 1 / (2 xor 1) = 1/3 = 0xf4
        self.assertEqual(parity.row(p, 0), [0x8e, 0xf4])
        self.assertEqual(parity._sum(parity.row(p, 0), [b"\1\0", b"\0\1"]),
                         b"\x8e\xf4")
        self.assertEqual(parity.mul(2, 0x8e), 1)

    def test_mend(self):
        pack = bytes(i * i >> 4 & 0xff for i in range(50000))
        p = SimpleNamespace(pack_size=len(pack), shard_size=5120, data=10,
                            parity=3)
        data = parity.shards(p, pack)
        p.shards = [parity._sum(parity.row(p, i), data) for i in range(3)]
        p.crcs = [[ciphers.crc64(c) for c in parity.cells(p, s)]
                  for s in data + p.shards]
        parity.check("test", p, pack)
        hurt = bytearray(pack)
        for at in (0, 5119, 30000, 49999):
            hurt[at] ^= 1
        self.assertEqual(parity.mend("test", p, bytes(hurt)), pack)
        self.assertEqual(parity.mend("test", p, pack[:35000]), pack)
        hurt[10300] ^= 1
        hurt[20500] ^= 1
        with self.assertRaises(Damage):
            parity.mend("test", p, bytes(hurt))


if __name__ == "__main__":
    unittest.main()
