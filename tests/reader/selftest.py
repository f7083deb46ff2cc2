#!/usr/bin/env python3
"""The reader's own parts against published vectors, and refusals."""

import sys
import unittest

sys.dont_write_bytecode = True

import ciphers  # noqa: E402
from wire import Cursor, Damage, put_var, var_size  # noqa: E402


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


if __name__ == "__main__":
    unittest.main()
