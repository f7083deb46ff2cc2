"""Parity of packs: FORMAT.md, section 7, with a GF(2^8) of its own."""

import ciphers
from wire import Damage

CELL = 4096


def _field():
    exp, log = [0] * 512, [0] * 256
    x = 1
    for i in range(255):
        exp[i] = exp[i + 255] = x
        log[x] = i
        x = x << 1 ^ (0x11d if x & 0x80 else 0)
    return exp, log


_EXP, _LOG = _field()


def mul(a, b):
    return _EXP[_LOG[a] + _LOG[b]] if a and b else 0


def inverse(a):
    return _EXP[255 - _LOG[a]]


_TABLES = {}


def _times(factor, piece):
    """Each byte of piece times factor, as one number."""
    if factor not in _TABLES:
        _TABLES[factor] = bytes(mul(factor, b) for b in range(256))
    return int.from_bytes(piece.translate(_TABLES[factor]), "little")


def _sum(factors, pieces):
    total = 0
    for f, p in zip(factors, pieces):
        if f:
            total ^= _times(f, p)
    return total.to_bytes(len(pieces[0]), "little")


def row(p, i):
    """The coefficients of parity shard i."""
    return [inverse((p.data + i) ^ j) for j in range(p.data)]


def shards(p, pack):
    """The data shards of a pack, whatever its length is."""
    pack = pack[:p.pack_size].ljust(p.data * p.shard_size, b"\0")
    return [pack[i * p.shard_size:(i + 1) * p.shard_size]
            for i in range(p.data)]


def cells(p, shard):
    return [shard[i:i + CELL] for i in range(0, p.shard_size, CELL)]


def check(key, p, pack):
    """All of it against a pack that is whole."""
    if len(pack) != p.pack_size:
        raise Damage(f"{key}: of a pack of another size")
    data = shards(p, pack)
    for i, shard in enumerate(p.shards):
        if _sum(row(p, i), data) != shard:
            raise Damage(f"{key}: shard {i} is other parity")
    bad = _bad(p, data + p.shards)
    if bad:
        raise Damage(f"{key}: other checksums: {sorted(bad)[:5]}")


def _bad(p, every):
    """Cells that are not what their checksums say: (shard, column)."""
    return {(i, c) for i, shard in enumerate(every)
            for c, cell in enumerate(cells(p, shard))
            if not ciphers.crc64_is(cell, p.crcs[i][c])}


def _invert(square):
    n = len(square)
    rows = [list(r) + [int(i == j) for j in range(n)]
            for i, r in enumerate(square)]
    for i in range(n):
        swap = next(j for j in range(i, n) if rows[j][i])
        rows[i], rows[swap] = rows[swap], rows[i]
        f = inverse(rows[i][i])
        rows[i] = [mul(f, x) for x in rows[i]]
        for j in range(n):
            if j != i and rows[j][i]:
                f = rows[j][i]
                rows[j] = [x ^ mul(f, y) for x, y in zip(rows[j], rows[i])]
    return [r[n:] for r in rows]


def mend(key, p, pack):
    """The pack's bytes as they were."""
    data = [bytearray(s) for s in shards(p, pack)]
    bad = _bad(p, data + p.shards)
    for c in sorted({c for i, c in bad if i < p.data}):
        lost = [i for i in range(p.data) if (i, c) in bad]
        use = [i for i in range(p.parity) if (p.data + i, c) not in bad]
        if len(use) < len(lost):
            raise Damage(f"{key}: {len(lost)} cells of column {c} are "
                         f"damaged, and {len(use)} of parity are whole")
        use = use[:len(lost)]
        at = slice(c * CELL, (c + 1) * CELL)
        known = [0 if (j, c) in bad else 1 for j in range(p.data)]
        sums = [_sum([f * k for f, k in zip(row(p, i), known)] + [1],
                     [bytes(s[at]) for s in data] + [p.shards[i][at]])
                for i in use]
        square = _invert([[row(p, i)[j] for j in lost] for i in use])
        for j, factors in zip(lost, square):
            data[j][at] = _sum(factors, sums)
    return b"".join(map(bytes, data))[:p.pack_size]
