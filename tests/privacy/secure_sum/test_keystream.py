"""HKDF and ChaCha20 against the vectors of their RFCs; masks of any length."""

import numpy as np

from ophora_privacy.secure_sum.keystream import Keystream, add_mask, derive_key


def test_hkdf_sha256_gives_the_first_block_of_rfc_5869_case_1() -> None:
    key = derive_key(bytes([0x0B] * 22), salt=bytes(range(13)), info=bytes(range(0xF0, 0xFA)))
    assert key.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


def test_chacha20_gives_the_keystream_of_rfc_8439_a1() -> None:
    words = Keystream(bytes(32)).words32(32)
    assert words.astype("<u4").tobytes().hex() == (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"  # vector 1
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"  # vector 2
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
    )


def test_a_mask_is_the_stream_whatever_the_length_and_comes_off_again() -> None:
    key = bytes(range(32))
    long = Keystream(key).words32(200_000)
    for length in (1, 65_535, 65_536, 65_537, 200_000):
        total = np.zeros(length, np.uint32)
        add_mask(total, key)
        assert np.array_equal(total, long[:length])
        add_mask(total, key, subtract=True)
        assert not total.any()


def test_a_fresh_stream_is_never_the_same() -> None:
    assert not np.array_equal(Keystream.fresh().words64(4), Keystream.fresh().words64(4))
