"""The units that a scope changed, and which places they take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ._merge import overlaid
from .documents import Overlay
from .pointer import aboves
from .values import JSON, MISSING, Missing, same

if TYPE_CHECKING:
    from ._merge import Rules


class Overlays:
    """A scope's units, with what has to be known of them to lay them over the base."""

    def __init__(self, by_unit: Mapping[str, Overlay]) -> None:
        self.by_unit = by_unit
        self.made = {unit for unit, overlay in by_unit.items() if _is_made(overlay)}
        """Units that are there in the scope, whatever becomes of the base."""
        self.directories = _directories(self.made)
        """Directories that are there in the scope, as something is in them."""
        self.touched: dict[str, set[str]] = {}
        """By directory, the pointers of those members whose units the scope changed."""
        for unit in by_unit:
            self._touch(unit)

    def updated(self, by_unit: Mapping[str, Overlay]) -> Overlays:
        """The same once these are the units: what did not change is not gone over again."""
        known = self.by_unit
        changed = [unit for unit, one in by_unit.items() if known.get(unit) is not one]
        added = [unit for unit in changed if unit not in known]
        if len(known) + len(added) != len(by_unit):  # some are gone
            return Overlays(by_unit)
        new = Overlays({})
        new.by_unit = by_unit
        made = {unit for unit in changed if _is_made(by_unit[unit])}
        new.made = self.made.difference(changed) | made
        if self.made <= new.made:
            new.directories = self.directories | _directories(new.made - self.made)
        else:
            new.directories = _directories(new.made)
        new.touched = self.touched
        if added:
            new.touched = {path: {*members} for path, members in self.touched.items()}
            for unit in added:
                new._touch(unit)
        return new

    def _touch(self, unit: str) -> None:
        for above in aboves(unit):
            self.touched.setdefault(above, set()).add(unit)
            unit = above

    def hides(self, path: str) -> bool:
        """Whether the scope has a unit where the base would have a directory above ``path``."""
        return bool(self.made) and any(above in self.made for above in aboves(path))


def laid(overlay: Overlay, base: JSON | Missing, rules: Rules) -> JSON | Missing:
    """A scope's unit over what the base has now."""
    return overlaid(overlay.base, overlay.value, base, rules)


def _directories(made: Iterable[str]) -> set[str]:
    return {above for unit in made for above in aboves(unit)}


def _is_made(overlay: Overlay) -> bool:
    return overlay.value is not MISSING and not same(overlay.base, overlay.value)
