"""Hashes, seals and signatures of FORMAT.md, section 1.

The ciphers are those of libsodium (PyNaCl) and OpenSSL (cryptography); what
neither has, SipHash-2-4 and CRC-64/XZ, is written out here.
"""

import hashlib
import hmac as _hmac
import lzma
import struct
import zlib

import nacl.bindings as sodium
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.serialization import (Encoding,
                                                          PublicFormat)
from nacl.exceptions import CryptoError

from wire import Damage

_M64 = (1 << 64) - 1


def sha256(data):
    return hashlib.sha256(data).digest()


def hmac(key, message):
    return _hmac.digest(key, message, "sha256")


def derive(key, label):
    """label: text or bytes"""
    if isinstance(label, str):
        label = label.encode("ascii")
    return hmac(key, label)


def siphash(key, message):
    """SipHash-2-4 under the first 16 bytes of key, as a number."""
    k0, k1 = struct.unpack_from("<QQ", key)
    v0 = k0 ^ 0x736f6d6570736575
    v1 = k1 ^ 0x646f72616e646f6d
    v2 = k0 ^ 0x6c7967656e657261
    v3 = k1 ^ 0x7465646279746573
    n = len(message)
    padded = message + bytes(7 - n % 8) + bytes([n & 0xff])
    words = struct.unpack(f"<{len(padded) // 8}Q", padded)
    for word in (*words, None):
        if word is None:
            v2 ^= 0xff
            rounds = 4
        else:
            v3 ^= word
            rounds = 2
        for _ in range(rounds):
            v0 = v0 + v1 & _M64
            v1 = (v1 << 13 | v1 >> 51) & _M64 ^ v0
            v0 = (v0 << 32 | v0 >> 32) & _M64
            v2 = v2 + v3 & _M64
            v3 = (v3 << 16 | v3 >> 48) & _M64 ^ v2
            v0 = v0 + v3 & _M64
            v3 = (v3 << 21 | v3 >> 43) & _M64 ^ v0
            v2 = v2 + v1 & _M64
            v1 = (v1 << 17 | v1 >> 47) & _M64 ^ v2
            v2 = (v2 << 32 | v2 >> 32) & _M64
        if word is not None:
            v0 ^= word
    return v0 ^ v1 ^ v2 ^ v3


def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0xc96c5795d7870f42 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _crc_table()


def crc64(data):
    """CRC-64/XZ, byte by byte."""
    crc = _M64
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xff] ^ crc >> 8
    return crc ^ _M64


def _crc32(data):
    return data + struct.pack("<I", zlib.crc32(data))


# An .xz stream whose check is CRC-64, up to its data: LZMA2, 64 KiB dictionary.
_XZ_HEAD = (b"\xfd7zXZ\0" + _crc32(b"\0\4") +
            _crc32(b"\x02\x00\x21\x01\x08\0\0\0"))


def crc64_is(data, crc):
    """Whether data has that CRC-64/XZ.

    The .xz format has the same checksum, so the data is made into such a
    stream, stored and not compressed, with that check, for liblzma to judge:
    a hundred times faster than crc64, and a second opinion on it.
    """
    if len(data) < 256:
        return crc64(data) == crc
    parts = [_XZ_HEAD]
    for at in range(0, len(data), 65536):
        piece = data[at:at + 65536]
        parts.append(struct.pack(">BH", 2 if at else 1, len(piece) - 1))
        parts.append(piece)
    stored = sum(map(len, parts)) - len(_XZ_HEAD) + 1
    parts.append(bytes(1 + -stored % 4))
    parts.append(struct.pack("<Q", crc))
    try:
        out = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(b"".join(parts))
    except lzma.LZMAError:
        return False
    return out == data


def xseal_open(key, ad, sealed, what):
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            bytes(sealed[24:]), ad, bytes(sealed[:24]), key)
    except (CryptoError, ValueError):
        raise Damage(f"{what}: the seal is broken") from None


def chacha_open(key, nonce, ad, sealed, what):
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, bytes(sealed), ad)
    except (InvalidTag, ValueError):
        raise Damage(f"{what}: the seal is broken") from None


def box_open(secret, sealed, what):
    try:
        return sodium.crypto_box_seal_open(bytes(sealed), x_public(secret),
                                           secret)
    except (CryptoError, ValueError, TypeError):
        raise Damage(f"{what}: the box does not open") from None


def x_public(secret):
    key = x25519.X25519PrivateKey.from_private_bytes(secret)
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def ed_public(seed):
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def ed_verify(public, signature, message):
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(
            bytes(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def argon2id(passphrase, salt, ops, memory):
    """memory in KiB; one lane, version 0x13, 32 bytes"""
    return Argon2id(salt=salt, length=32, iterations=ops, lanes=1,
                    memory_cost=memory).derive(passphrase)
