"""Whether contents fit their schema (JSON Schema 2020-12), and in words where they do not.

One engine gives both, so that they cannot disagree: jsonschema-rs, whose reading of the standard is
the rule here. Only the formats of ``objstore.checks`` are asserted; keywords that the standard does
not know are annotations. No reference is ever fetched.

Importing this module imports no engine; the first Validator does.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ._dialect import Document
from .errors import Failure
from .values import JSON

if TYPE_CHECKING:
    from ._locality import Locality

__all__ = ["Validator"]


class Validator:
    """Judges contents by one schema; safe between threads.

    ``source`` is what errors call the schema, which must not change afterwards. Raises SchemaError
    if it is not valid 2020-12, or has a ``$ref`` that leads out of it (the meta-schemas of 2020-12
    are known).
    """

    def __init__(self, schema: JSON, *, source: str = "schema") -> None:
        from ._engine import Engine

        self._document = Document(schema)
        self._engine = Engine(self._document, source)

    def failures(self, value: JSON, source: str) -> list[Failure]:
        """Every place where ``value`` does not fit, in its order; none when it is valid.

        ``source`` is what the failures call the value.
        """
        return self._engine.failures(value, source)

    def failures_of_change(self, old: JSON, new: JSON, source: str) -> list[Failure]:
        """The same list as ``failures(new)``, where ``old`` is known to be valid.

        Parts of ``new`` that are the same object as in ``old`` are not looked at again, unless the
        schema judges them together with what changed (docs/decisions/0002).
        """
        locality = self._locality
        if locality is not None and locality.holds(old, new):
            return []
        return self.failures(new, source)

    @cached_property
    def _locality(self) -> Locality | None:
        if not self._document.is_static:
            return None
        from ._locality import Locality

        return Locality(self._document)
