"""What each participant of a joint transaction brings: a path, a patch, and a match."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from ._apply import are_operations, differs, require_patch, require_tests
from ._encode import encode
from ._merge import Lineage
from ._refusals import merge_conflict
from ._shapes import ANY
from ._sites import Scratch, Sites, Within
from .directories import Directory
from .errors import ConflictError, PatchError, PathError
from .meetings import Note
from .patch import merge
from .paths import Step, address, below, is_kinded, parse
from .pointer import build, join
from .values import JSON, MISSING, Missing, is_array, is_object

if TYPE_CHECKING:
    from ._units import Unit

ABSENT: Final = "absent"


class Share(NamedTuple):
    """One participant's part of a joint transaction."""

    path: str
    """As it was given: a JSON Pointer, a pathname or a kinded path."""
    pointer: str
    patch: Sequence[Mapping[str, Any]]
    """RFC 6902, with pointers relative to ``pointer``."""
    match: Any
    """What must be at ``pointer``: a partial value, ``test`` operations, MISSING for nothing. None
    asks for nothing."""

    @property
    def steps(self) -> list[Step]:
        """The steps of a kinded path; none where a pointer does not show its kinds."""
        return parse(self.path) if is_kinded(self.path) else []


def make_share(path: str, patch: Iterable[Mapping[str, Any]], match: Any) -> Share:
    """A share of one's own: what is passed on is independent of the caller's.

    Raises PathError, PatchError, ValidationError for what is no JSON.
    """
    copy = cast("list[Any]", encode(list(patch), ANY, source="the patch"))
    require_patch(copy)
    if match is not None and match is not MISSING:
        match = encode(match, ANY, source="the match")
        if are_operations(match):
            require_tests(match)
    return Share(path, address(path), copy, match)


def to_note(share: Share) -> Note:
    """A share as it is left for the other participants (docs/formats/meetings.md)."""
    note: Note = {"path": share.path, "patch": list(share.patch)}
    if share.match is MISSING:
        note[ABSENT] = True
    elif share.match is not None:
        note["match"] = share.match
    return note


def from_note(note: Note) -> Share:
    """The inverse of ``to_note``."""
    path = cast(str, note["path"])
    match = MISSING if ABSENT in note else note.get("match")
    return Share(path, address(path), cast("list[Any]", note["patch"]), match)


# --- what several shares must not do --------------------------------------------------------------


def require_apart(shares: Sequence[Share]) -> None:
    """Raise ConflictError where two patches are about the same place, PathError for mixed kinds."""
    for one, other in combinations(shares, 2):
        _require_one_kind(one, other)
        longer, shorter = sorted((one, other), key=lambda share: -len(share.pointer))
        if not (one.patch and other.patch):
            continue
        if longer.pointer == shorter.pointer or longer.pointer.startswith(f"{shorter.pointer}/"):
            raise ConflictError(
                f"two participants change {shorter.pointer or 'the root'} and {longer.pointer}",
                pointer=longer.pointer,
                base=MISSING,
                ours=list(shorter.patch),
                theirs=list(longer.patch),
            )


def _require_one_kind(one: Share, other: Share) -> None:
    for ours, theirs in zip(one.steps, other.steps, strict=False):
        if ours.kind != theirs.kind:
            raise PathError(
                f"another participant's path {other.path!r} has {theirs.kind} {theirs.token}"
                f" where this one has {ours.kind} {ours.token}",
                one.path,
                1,
            )
        if ours.token != theirs.token:
            return


# --- one share on a store -------------------------------------------------------------------------


def require_kinds(share: Share, sites: Sites) -> None:
    """Raise PathError where a kinded path leads through something of another kind."""
    scratch = Scratch(sites)
    tokens: list[str] = []
    for step in share.steps:
        site = sites.at(build(tokens))
        node: Any = {} if isinstance(site, Directory) else scratch.read(build(tokens))
        if is_array(node) if step.kind != "index" else is_object(node):
            what = "an array" if is_array(node) else "an object"
            raise PathError(f"{build(tokens) or 'the root'} is {what}", share.path, 1)
        tokens.append(step.token)


def fits(share: Share, sites: Sites) -> bool:
    """Whether what is at the share's path is as its match wants it."""
    if share.match is None:
        return True
    if are_operations(share.match):
        return all(_passes(share, test, sites) for test in share.match)
    if share.match is MISSING:
        return Scratch(sites).read(share.pointer) is MISSING
    return _fits_at(share.pointer, share.match, sites)


def _passes(share: Share, test: Mapping[str, Any], sites: Sites) -> bool:
    try:
        Scratch(sites).perform(share.pointer, [test])
    except PatchError:  # well-formed it is: the test failed
        return False
    return True


def _fits_at(pointer: str, expected: Any, sites: Sites) -> bool:
    site = sites.at(pointer)
    if isinstance(site, Directory):
        # Only the members that are asked for are looked at.
        return is_object(expected) and all(
            _fits_at(join(pointer, key), value, sites) for key, value in expected.items()
        )
    return is_part(expected, _value_in(site, sites))


def _value_in(site: Within, sites: Sites) -> JSON | Missing:
    node = sites.contents(site.unit)
    for token in site.rest:
        node = below(node, token)
    return node


def is_part(expected: Any, found: Any) -> bool:
    """Whether a value has all keys that a partial one has, at any depth, and all else the same."""
    if is_object(expected) and is_object(found):
        return all(is_part(value, found.get(key, MISSING)) for key, value in expected.items())
    if is_array(expected) and is_array(found):
        return len(expected) == len(found) and all(map(is_part, expected, found))
    return not differs(expected, found)


# --- all shares on a store ------------------------------------------------------------------------


def apply_all(shares: Sequence[Share], sites: Sites) -> tuple[dict[Unit, JSON | Missing], Lineage]:
    """What units the shares change: each patch is made of the contents as they are, then merged.

    Also where the containers that were copied come from. Raises ConflictError where two change the
    same, PatchError, ValidationError.
    """
    merged: dict[Unit, JSON | Missing] = {}
    lineage: Lineage = {}
    for share in shares:
        scratch = Scratch(sites, lineage)
        scratch.perform(share.pointer, share.patch)
        for unit, ours in scratch.units.items():
            base = sites.contents(unit)
            both = merge(
                base,
                ours,
                merged.get(unit, base),
                agree=False,
                schema_keys=unit.shape.merge_key_at,
                lineage=lineage,
            )
            for first in both.conflicts[:1]:
                message = f"two participants change {unit.pointer}{first.pointer}"
                raise merge_conflict(message, unit.pointer, first)
            merged[unit] = both.value
    return merged, lineage
