"""How a change is entered in the log: with a link to the one before, and an image where due."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from objstore.documents import Change
from objstore.patch import diff
from objstore.values import JSON

from ..log import jsonline
from ..stamps import digest
from .heads import Head, Heads, key_of
from .record import NO_FILE, Edited, Entry, Said


class Revision(NamedTuple):
    """A unit's change to be entered, with what is known of its file."""

    change: Change
    before: str | None
    """The digests, as in ``Entry``."""
    after: str | None
    file: str
    text: Callable[[], bytes | None]
    """The file before, should an image be needed; None where it is not known."""
    base: tuple[JSON] | tuple[()] | None = None
    """As in ``Entry``."""
    is_anew: bool = False
    """Whether what was before is another than the commit before left."""
    lost: int | None = None
    """As in ``Entry``."""
    is_lone: bool = False
    """As in ``Entry``."""
    is_remade: bool = False
    """Whether ``text`` is made from the log. Of what somebody else left it may be other bytes."""
    edited: Edited | None = None
    """As in ``Entry``."""
    was: str | None = None
    """The file that ``text`` is of; None for ``file``."""


def entry_of(heads: Heads, said: Said, one: Revision, generation: int) -> Entry:
    """How a change is entered in the file of a generation, given the heads before it."""
    change = one.change
    head = heads.units.get(key_of(said.scope, change.unit))
    patch = diff(change.old, change.new)
    text = jsonline.dump(patch)
    image, file, before = None, None, one.before
    needed = one.is_anew or _needs_image(head, one, len(text), generation)
    if head is not None and head.is_found and not said.external:
        needed = True  # or nothing would have the bytes that this commit was made on
    if before != NO_FILE and needed:
        image = one.text()
        if one.is_remade and image is not None and before != digest(image):
            before = None
    if image is not None or one.before == NO_FILE or head is None or head.file != one.file:
        file = one.file
    was = one.was if image is not None and one.was != file else None
    nth, last, jump = 1, None, None
    if head is not None:
        nth, last, jump = head.nth + 1, head.link, head.jump()
    made = (change.unit, patch, before, one.after, image, file, nth, last, jump)
    return Entry(*made, one.base, one.lost, one.edited, text, was)


def _needs_image(head: Head | None, one: Revision, weight: int, generation: int) -> bool:
    """Whether the changes in this file do not tell what was before, or no more at a low price."""
    if head is None or head.link.generation != generation:
        return True
    if head.file != one.file:
        return True  # what that was says nothing about the bytes of this one
    if one.before is not None and head.after != one.before:
        return True  # somebody has edited it, perhaps in a way that changes no value
    return head.weight + weight > head.size
