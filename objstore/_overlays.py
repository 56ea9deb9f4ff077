"""The units that a scope changed, and which places they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ._merge import overlaid
from .documents import Overlay
from .pointer import aboves
from .values import JSON, MISSING, Missing, same

if TYPE_CHECKING:
    from ._merge import KeyOf


class Overlays:
    """A scope's units, with what has to be known of them to lay them over the base."""

    def __init__(self, by_unit: Mapping[str, Overlay]) -> None:
        self.by_unit: Final = by_unit
        self.made: Final = {unit for unit, overlay in by_unit.items() if _is_made(overlay)}
        """Units that are there in the scope, whatever becomes of the base."""
        self.directories: Final = {above for unit in self.made for above in aboves(unit)}
        """Directories that are there in the scope, as something is in them."""
        self.touched: Final[dict[str, set[str]]] = {}
        """By directory, the pointers of those members whose units the scope changed."""
        for unit in by_unit:
            below = unit
            for above in aboves(unit):
                self.touched.setdefault(above, set()).add(below)
                below = above

    def hides(self, path: str) -> bool:
        """Whether the scope has a unit where the base would have a directory above ``path``."""
        return bool(self.made) and any(above in self.made for above in aboves(path))


def laid(overlay: Overlay, base: JSON | Missing, keys: KeyOf) -> JSON | Missing:
    """A scope's unit over what the base has now."""
    return overlaid(overlay.base, overlay.value, base, schema_keys=keys)


def _is_made(overlay: Overlay) -> bool:
    return overlay.value is not MISSING and not same(overlay.base, overlay.value)
