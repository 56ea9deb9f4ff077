"""Checksums of things that have their own behind them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.backings.checksums import SOUND, SUM, crc32c, extend, sound_together


def sealed(data: bytes) -> bytes:
    return data + SUM.pack(crc32c(data))


def test_the_checksum_is_the_one_of_the_rfc() -> None:
    """RFC 3720, appendix B.4."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert extend(crc32c(b"ab"), b"cd") == crc32c(b"abcd")


@given(
    st.integers(0, 40).flatmap(lambda n: st.lists(st.binary(min_size=n, max_size=n), min_size=1))
)
@settings(deadline=None)
def test_one_checksum_is_right_for_many_of_one_length(parts: list[bytes]) -> None:
    assert crc32c(sealed(parts[0])) == SOUND
    whole = b"".join(map(sealed, parts))
    assert crc32c(whole) == sound_together(len(parts[0]) + SUM.size, len(parts))


@given(st.data())
@settings(deadline=None)
def test_a_wrong_bit_anywhere_is_told(data: st.DataObject) -> None:
    size, count = data.draw(st.integers(5, 200)), data.draw(st.integers(1, 100))
    whole = bytearray(b"".join(sealed(bytes((n,)) * (size - SUM.size)) for n in range(count)))
    bits = st.integers(0, 8 * len(whole) - 1)
    for bit in data.draw(st.lists(bits, min_size=1, max_size=3, unique=True)):
        whole[bit // 8] ^= 1 << bit % 8
    assert crc32c(bytes(whole)) != sound_together(size, count)
