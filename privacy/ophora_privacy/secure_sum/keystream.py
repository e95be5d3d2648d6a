"""Masks: ChaCha20 keystreams under 256-bit keys, and the HKDF-SHA256 that derives the keys.

Data path: shared secret or self seed -> `derive_key` -> `add_mask`, which adds the stream's words
to a vector modulo 2^32. The same stream, keyed by the operating system, is the source of random
words for rounding and noise. ChaCha20 and its vectors: RFC 8439; HKDF: RFC 5869.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
Words = npt.NDArray[np.uint32]

_CHUNK_WORDS = 1 << 16  # 256 KiB: zeros, stream and a piece of the vector stay in the cache
_START = bytes(16)  # block counter 0 and an all-zero nonce: every key makes one stream only


def derive_key(secret: bytes, *, salt: bytes, info: bytes) -> bytes:
    """32 bytes by HKDF-SHA256."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(secret)


class Keystream:
    """The ChaCha20 stream of one key, read once from its start."""

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(ChaCha20(key, _START), mode=None).encryptor()

    @classmethod
    def fresh(cls) -> Keystream:
        """A stream that nobody can repeat: its key comes from the operating system."""
        return cls(os.urandom(KEY_BYTES))

    def fill(self, words: Words) -> None:
        """Overwrite a contiguous array with the next words, little-endian."""
        out = words.view(np.uint8).data
        self._cipher.update_into(bytes(words.nbytes), out)
        if np.little_endian is False:  # pragma: no cover
            words.byteswap(inplace=True)

    def words32(self, count: int) -> Words:
        """The next `count` uint32, uniform."""
        words = np.empty(count, np.uint32)
        self.fill(words)
        return words

    def words64(self, count: int) -> npt.NDArray[np.uint64]:
        """The next `count` uint64, uniform."""
        return self.words32(2 * count).view(np.uint64)


def add_mask(total: Words, key: bytes, *, subtract: bool = False) -> None:
    """Add the stream of `key` to `total` in place, or subtract it, modulo 2^32."""
    stream = Keystream(key)
    words = np.empty(min(_CHUNK_WORDS, len(total)), np.uint32)
    combine = np.subtract if subtract else np.add
    for start in range(0, len(total), _CHUNK_WORDS):
        piece = total[start : start + _CHUNK_WORDS]
        stream.fill(words)
        combine(piece, words[: len(piece)], out=piece)
