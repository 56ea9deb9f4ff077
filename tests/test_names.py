"""Keys and file names (docs/formats/names.md)."""

from __future__ import annotations

import ntpath
import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from objstore.backings.filesystem import names
from objstore.errors import KeyNameError

# Text that the rules are about, and any other.
SPECIAL = st.sampled_from('./\\%.% <>:"|?*\0\x1f\x7f\x85aAbB01cCoOnN$é😀')
KEYS = st.text(SPECIAL | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
NAMES = st.text(
    st.sampled_from("%.2F41efAaZ ") | st.characters(exclude_categories=["Cs"]), max_size=12
)
ENDINGS = (".json", ".yaml", ".yml", ".toml", ".kvi")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("ada", "ada"),
        ("Ada Lovelace", "Ada Lovelace"),
        ("a.json", "a.json"),
        ("a/b", "a%2Fb"),
        ("a\\b", "a%5Cb"),
        ("a\tb\0", "a%09b%00"),
        ("\x7f\x85", "%7F%C2%85"),
        ('<>:"|?*', "%3C%3E%3A%22%7C%3F%2A"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "%2E.%2E"),
        (".profile", "%2Eprofile"),
        ("etc.", "etc%2E"),
        ("end ", "end%20"),
        (" start", " start"),
        ("100%", "100%"),
        ("%", "%"),
        ("%zz", "%zz"),
        ("%41", "%2541"),
        ("%ff", "%25ff"),
        ("%%41", "%%2541"),
        ("%4/", "%4%2F"),
        ("CON", "%43ON"),
        ("con", "%63on"),
        ("nul.tar.gz", "%6Eul.tar.gz"),
        ("Aux .x", "%41ux .x"),
        ("com1", "%63om1"),
        ("LPT³", "%4CPT³"),
        ("conin$", "%63onin$"),
        ("com0", "com0"),
        ("console", "console"),
        ("é", "é"),
        ("e\u0301", "e\u0301"),
        ("😀", "😀"),
    ],
)
def test_what_a_key_is_called(key: str, name: str) -> None:
    assert names.encode(key) == name
    assert names.decode(name) == key


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".gitignore",
        "a%2fb",
        "%41",
        "CON",
        "a.",
        "a/b",
        "%C2",
        "%FF",
        "%ED%A0%80",
        "100%25",
        "\udcff",
        "x" * 256,
    ],
)
def test_what_is_no_keys_name(name: str) -> None:
    assert names.decode(name) is None


@settings(deadline=None, max_examples=400)
@given(KEYS)
@example("%25")
@example("%%")
@example("CON.%")
def test_a_name_decodes_to_its_key(key: str) -> None:
    assert names.decode(names.encode(key)) == key


@settings(deadline=None, max_examples=400)
@given(NAMES)
def test_a_name_that_decodes_is_the_one_that_its_key_makes(name: str) -> None:
    key = names.decode(name)
    assert key is None or names.encode(key) == name


@settings(deadline=None, max_examples=400)
@given(KEYS, st.sampled_from(("", *ENDINGS)))
def test_a_name_is_safe_everywhere(key: str, ending: str) -> None:
    name = names.encode(key) + ending
    assert os.path.basename(name) == name == ntpath.basename(name)
    assert not name.startswith(".")
    assert not name.endswith((".", " "))
    assert not set(name) & {*'<>:"|?*', *map(chr, range(32))}
    device = name.partition(".")[0].rstrip(" ").upper()
    assert device not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9", "COM¹", "CONIN$"}


@settings(deadline=None, max_examples=400)
@given(st.lists(KEYS, unique=True, max_size=8))
def test_two_keys_never_share_a_name(keys: list[str]) -> None:
    assert len({names.encode(key) for key in keys}) == len(keys)


@pytest.mark.parametrize("key", ["", "\ud800", "a\udfffb"])
def test_a_key_that_no_name_holds(key: str) -> None:
    with pytest.raises(KeyNameError):
        names.encode(key)


def test_the_longest_name() -> None:
    assert names.encode("x" * 255) == "x" * 255
    assert names.encode("é" * 125, room=5) == "é" * 125
    with pytest.raises(KeyNameError):
        names.encode("x" * 256)
    with pytest.raises(KeyNameError):
        names.encode("é" * 126, room=5)


def test_a_key_that_is_too_long_is_named_with_its_length_and_the_limit() -> None:
    with pytest.raises(KeyNameError, match=r'"begin…?x+….*305 bytes.*255') as caught:
        names.encode("begin" + "x" * 295, room=5)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "nul\0", "x" * 256])
def test_a_layout_gives_single_names_only(name: str) -> None:
    with pytest.raises(KeyNameError):
        names.check(name)


def test_a_layout_may_give_a_name_that_no_key_makes() -> None:
    assert names.check(".config.json") == ".config.json"


@settings(deadline=None)
@given(KEYS, st.sampled_from(ENDINGS))
@example("x" * 250, ".json")
@example("😀" * 62, ".yaml")
def test_a_temporary_name_is_hidden_known_and_fits(key: str, ending: str) -> None:
    name = names.encode(key) + ending
    temporary = names.temporary(name)
    assert temporary.startswith(".")
    assert temporary != name
    assert len(temporary.encode()) <= names.MAX_BYTES
    assert names.is_temporary(temporary)
    assert not names.is_temporary(name)
    assert names.decode(temporary) is None
    assert names.temporary(name) == temporary


def test_two_long_names_have_two_temporary_names() -> None:
    one, two = "x" * 250, "x" * 249 + "y"
    assert names.temporary(one) != names.temporary(two)


def test_the_other_case_of_a_name() -> None:
    assert names.other_case("Ada-1 é.json") == "aDA-1 é.JSON"
