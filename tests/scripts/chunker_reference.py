#!/usr/bin/env python3
"""The cuts of chunker/ worked out a second time, slowly and from its README.

usage: chunker_reference.py [--print]

Compares what comes out with tests/unit/chunker_golden.h, the vectors that every
code path must meet; --print prints that file instead. Nothing here is shared with the C code: AES and POLYVAL are written from
FIPS 197 and RFC 8452 anew and first checked against published values.
"""

import contextlib
import difflib
import functools
import io
import os
import sys

MASK = (1 << 64) - 1
BLOCK = 4096
LOOSER = 64


# --- AES-128 ---------------------------------------------------------------

def gf8(a, b):
    r = 0
    while b:
        if b & 1:
            r ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x11B
        b >>= 1
    return r


def make_sbox():
    sbox = []
    for x in range(256):
        inv = next((y for y in range(256) if gf8(x, y) == 1), 0)
        v = 0x63
        for n in range(5):
            v ^= (inv << n | inv >> (8 - n)) & 0xFF
        sbox.append(v)
    return sbox


SBOX = make_sbox()
MUL2 = [gf8(x, 2) for x in range(256)]
MUL3 = [gf8(x, 3) for x in range(256)]
SHIFT = [(i + 4 * (i % 4)) % 16 for i in range(16)]


def expand(key):
    w = [list(key[i:i + 4]) for i in range(0, 16, 4)]
    rcon = 1
    for i in range(4, 44):
        t = w[i - 1]
        if i % 4 == 0:
            t = [SBOX[b] for b in t[1:] + t[:1]]
            t[0] ^= rcon
            rcon = gf8(rcon, 2)
        w.append([a ^ b for a, b in zip(w[i - 4], t)])
    return [sum(w[i:i + 4], []) for i in range(0, 44, 4)]


def aes(keys, block):
    s = [a ^ b for a, b in zip(block, keys[0])]
    for r in range(1, 11):
        s = [SBOX[s[i]] for i in SHIFT]
        if r < 10:
            t = []
            for i in range(0, 16, 4):
                a, b, c, d = s[i:i + 4]
                t += [MUL2[a] ^ MUL3[b] ^ c ^ d, a ^ MUL2[b] ^ MUL3[c] ^ d,
                      a ^ b ^ MUL2[c] ^ MUL3[d], MUL3[a] ^ b ^ c ^ MUL2[d]]
            s = t
        s = [a ^ b for a, b in zip(s, keys[r])]
    return bytes(s)


# --- POLYVAL ---------------------------------------------------------------

POLY = 1 << 128 | 1 << 127 | 1 << 126 | 1 << 121 | 1


def dot(a, b):
    r = 0
    for i in range(128):
        if a >> i & 1:
            r ^= b
        if r & 1:
            r ^= POLY
        r >>= 1
    return r


@functools.lru_cache(maxsize=None)
def multiples(h):
    """What each byte adds to dot(a, h): h is multiplied by many times."""
    n = int.from_bytes(h, "little")
    return [[dot(v << 8 * i, n) for v in range(256)] for i in range(16)]


def polyval(h, data):
    tables = multiples(h)
    s = 0
    for i in range(0, len(data), 16):
        s ^= int.from_bytes(data[i:i + 16], "little")
        t = 0
        for n in range(16):
            t ^= tables[n][s >> 8 * n & 0xFF]
        s = t
    return s.to_bytes(16, "little")


# --- parameters and cuts ---------------------------------------------------

def power(q, n):
    r = q
    for bit in bin(n)[3:]:
        r = r * r >> 64
        if bit == "1":
            r = r * q >> 64
    return r


def turn(avg):
    return avg - avg // 16 * 3


def passed(p, n):
    q = (1 << 64) - p
    left = power(q, n)
    return q * (MASK - left) >> 64, left


def params(mode, avg):
    unit = BLOCK if mode == "block" else 1
    low = -(-(avg // 2) // unit) * unit
    high = 4 * avg
    excess = (avg - low) // unit
    if excess == 0:
        return low, high, MASK
    p = 0
    for bit in range(63, -1, -1):
        t = p | 1 << bit
        if mode == "stream":
            if LOOSER * t > MASK:
                continue
            mean, left = passed(t, turn(avg) - low)
            more, _ = passed(LOOSER * t, high - turn(avg))
            mean += (left * more >> 64) // LOOSER
        else:
            mean, _ = passed(t, (high - low) // unit)
        if excess * t <= mean:
            p = t
    return low, high, p


class Chunker:
    def __init__(self, mode, key, avg):
        self.unit = BLOCK if mode == "block" else 1
        self.min, self.max, self.threshold = params(mode, avg)
        self.turn, self.loose = self.max, self.threshold
        if mode == "stream":
            self.turn = turn(avg)
            self.loose = min(LOOSER * self.threshold, MASK)
            self.keys = expand(key[:16])
        else:
            master = expand(key[16:])
            self.h = aes(master, bytes([1] + [0] * 15))
            self.keys = expand(aes(master, bytes([2] + [0] * 15)))

    def value(self, tail):
        """The pseudo-random number of the bytes before a place."""
        if self.unit == 1:
            block = tail[-16:]
        else:
            block = polyval(self.h, tail[-BLOCK:])
        return int.from_bytes(aes(self.keys, block)[:8], "little")

    def cuts(self, data):
        lengths, start = [], 0
        while start < len(data):
            n = self.min
            while n < self.max and start + n <= len(data):
                limit = self.threshold if n < self.turn else self.loose
                if self.value(data[start:start + n]) < limit:
                    break
                n += self.unit
            n = min(n, self.max, len(data) - start)
            lengths.append(n)
            start += n
        return lengths


# --- data ------------------------------------------------------------------

def data(kind, seed, length):
    out = bytearray()
    while len(out) < length:
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = seed
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        z ^= z >> 31
        out += z.to_bytes(8, "little")
    mask = {"random": 0xFF, "bits": 0x01, "zero": 0x00}[kind]
    return bytes(b & mask for b in out[:length])


KEYS = [bytes(range(32)), bytes(255 - 3 * i & 0xFF for i in range(32))]

CASES = [
    ("stream", 0, 4096, "random", 1, 60000),
    ("stream", 1, 4096, "random", 1, 40000),
    ("stream", 0, 6002, "bits", 2, 40001),
    ("stream", 0, 4096, "zero", 0, 40000),
    ("block", 0, 4096, "random", 3, 20000),
    ("block", 0, 8192, "random", 3, 262144),
    ("block", 1, 8192, "bits", 3, 200001),
    ("block", 0, 12288, "random", 4, 262144),
    ("block", 0, 65536, "random", 5, 524288),
    ("block", 0, 8192, "zero", 0, 100000),
]


def self_test():
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    plain = bytes.fromhex("3243f6a8885a308d313198a2e0370734")
    assert aes(expand(key), plain).hex() == "3925841d02dc09fbdc118597196a0b32"
    h = bytes.fromhex("25629347589242761d31f826ba4b757b")
    x = bytes.fromhex("4f4f95668c83dfb6401762bb2d01a262"
                      "d1a24ddd2721d006bbe45f20d3c9f362")
    assert polyval(h, x).hex() == "f7a3b47b846119fae5b7866cf5e5b77e"


def golden():
    print("#ifndef TESTS_UNIT_CHUNKER_GOLDEN_H")
    print("#define TESTS_UNIT_CHUNKER_GOLDEN_H")
    print()
    print("/* Printed by tests/scripts/chunker_reference.py. */")
    print()
    print('#include "chunker/chunker.h"')
    print('#include "tests/unit/chunker_data.h"')
    print()
    print("static const uint8_t golden_keys[][CHUNKER_KEY_LEN] = {")
    for key in KEYS:
        print("\t{")
        for i in range(0, 32, 8):
            print("\t\t" + " ".join("0x%02x," % b for b in key[i:i + 8]))
        print("\t},")
    print("};")
    print()
    print("static const struct {")
    print("\tenum chunker_mode mode;")
    print("\tuint32_t avg, min, max;")
    print("\tuint64_t threshold;")
    print("} golden_params[] = {")
    for mode in ("stream", "block"):
        for avg in (4096, 8192, 12288, 65536, 1 << 20, 2 << 20):
            print("\t{ CHUNKER_%s, %d, %d, %d,\n\t    0x%016xu },"
                  % ((mode.upper(), avg) + params(mode, avg)))
    print("};")
    print()
    print("/* The first eight bytes of the value of a block. */")
    print("static const struct {")
    print("\tint key;")
    print("\tenum data_kind kind;")
    print("\tuint64_t seed, value;")
    print("} golden_values[] = {")
    for key, kind, seed in ((0, "random", 6), (1, "bits", 7), (0, "zero", 0)):
        v = Chunker("block", KEYS[key], 4096).value(data(kind, seed, BLOCK))
        print("\t{ %d, DATA_%s, %d, 0x%016xu },"
              % (key, kind.upper(), seed, v))
    print("};")
    print()
    print("/* Lengths of chunks, to a 0. */")
    print("static const struct {")
    print("\tenum chunker_mode mode;")
    print("\tint key;")
    print("\tuint32_t avg;")
    print("\tenum data_kind kind;")
    print("\tuint64_t seed;")
    print("\tsize_t len;")
    print("\tuint32_t cuts[40];")
    print("} golden_cuts[] = {")
    for mode, key, avg, kind, seed, length in CASES:
        cuts = Chunker(mode, KEYS[key], avg).cuts(data(kind, seed, length))
        assert sum(cuts) == length and len(cuts) < 40
        print("\t{ CHUNKER_%s, %d, %d, DATA_%s, %d, %d, {"
              % (mode.upper(), key, avg, kind.upper(), seed, length))
        for i in range(0, len(cuts), 8):
            print("\t\t" + " ".join("%d," % n for n in cuts[i:i + 8]))
        print("\t\t0 } },")
    print("};")
    print()
    print("#endif")


def main():
    self_test()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        golden()
    if sys.argv[1:] == ["--print"]:
        print(out.getvalue(), end="")
        return 0
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        "../unit/chunker_golden.h")
    with open(path) as f:
        want = f.read().splitlines()
    got = out.getvalue().splitlines()
    for line in difflib.unified_diff(want, got, "chunker_golden.h",
                                     "worked out", lineterm=""):
        print(line)
    return 0 if want == got else 1


sys.exit(main())
