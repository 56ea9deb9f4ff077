"""Shapes: what is known of the values at one place, whichever way it was written down.

Annotations of classes (``_annotations``) and JSON Schemas (``schema``) both become shapes; Objects
read and write through shapes alone, so either may come first. Containers of a place become Objects
of a class, and the class knows the shapes below it (``Info``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from ._codecs import Codec
from .layout import ANYTHING, Member, MemberKind
from .pointer import index_of, split
from .values import JSON, MISSING, Missing

if TYPE_CHECKING:
    from .objects import Object
    from .validation import Validator

Kind: TypeAlias = Literal["dict", "list", "directory"]

BASES: Final[dict[Kind, type[Object]]] = {}
"""Dict, List and Directory themselves; objects.py enters them, as they need shapes to exist."""


OF_WHOLE_OBJECTS: Final = (
    *("anyOf", "const", "dependentRequired", "dependentSchemas", "enum", "if", "maxProperties"),
    *("minProperties", "not", "oneOf", "propertyNames"),
)
"""Keywords that judge an object as a whole. A directory is never held against them: its members are
files, which are read and written each by itself."""


class FileField:
    """What ``objstore.file`` returns: where a member lies, and what it reads as before it does."""

    __slots__ = ("default", "name")

    def __init__(self, name: str, default: Any) -> None:
        self.name = name
        self.default = default


class Shape:
    """What is known of the values at one place."""

    __slots__ = (
        "_member",
        "_numbered",
        "_validator",
        "autoid",
        "classes",
        "codecs",
        "decode",
        "default",
        "file",
        "integral",
        "merge_key",
        "open",
        "schema_of",
    )

    def __init__(
        self,
        *,
        schema_of: Callable[[Definitions], JSON],
        classes: Iterable[type[Object]] = (),
        codecs: Iterable[Codec] = (),
        integral: bool | None = None,
        open: bool = False,
        default: JSON | Missing = MISSING,
        file: str | None = None,
        merge_key: str | None = None,
        autoid: bool = False,
    ) -> None:
        self.schema_of = schema_of
        """The JSON Schema of the place; classes with a name go to the definitions."""
        self.classes = tuple(classes)
        """What containers here may become."""
        self.codecs = tuple(codecs)
        self.integral = integral
        """Whether numbers here are integers, which a file may have as 2.0; None where none are."""
        self.open = open
        """Whether containers that no class is known for may be here."""
        self.default = default
        """What is read where nothing is."""
        self.file = file
        """The name given with ``objstore.file``."""
        self.merge_key = merge_key
        """The key that tells a list's elements apart when two changes of it are merged."""
        self.autoid = autoid
        """Whether a number is put here where none is."""
        self.decode = _decoder(self.codecs)
        self._member: Member | None = None
        self._numbered: bool | None = None
        self._validator: Validator | None = None

    def replace(self, *, default: JSON | Missing, file: str | None) -> Shape:
        """The same with another default and file name."""
        return Shape(
            schema_of=self.schema_of,
            classes=self.classes,
            codecs=self.codecs,
            integral=self.integral,
            open=self.open,
            default=default,
            file=file,
            merge_key=self.merge_key,
            autoid=self.autoid,
        )

    def merge_key_at(self, pointer: str) -> str | None:
        """The ``mergeKey`` of the list at a JSON Pointer below this place."""
        shape: Shape = self
        for token in split(pointer):
            shape = shape._below(token)
        return shape.merge_key

    def default_at(self, pointer: str) -> JSON | Missing:
        """What is read at a JSON Pointer below this place where nothing is.

        MISSING where that depends on what else is there.
        """
        if not pointer:
            return self.default
        *above, key = split(pointer)
        shape: Shape = self
        for token in above:
            shape = shape._below(token)
        infos = [cls._info for cls in shape.classes if cls._kind == "dict"]
        found = infos[0].keys.get(key) if len(infos) == 1 else None
        return MISSING if found is None else found.default

    def _below(self, token: str) -> Shape:
        for cls in self.classes:
            if cls._kind == "dict":
                found = cls._info.shape_for(token)
                if found is not None:
                    return found
            elif (index := index_of(token)) is not None:
                return cls._info.shape_at(index)
        return ANY

    @property
    def numbered(self) -> bool:
        """Whether a number is put somewhere below this place where none is."""
        if self._numbered is None:
            self._numbered = _is_numbered(self, set())
        return self._numbered

    def class_for(self, contents: JSON) -> type[Object]:
        """The class of the Object that a container here becomes."""
        kind: Kind = "list" if isinstance(contents, list) else "dict"
        if not self.classes:
            return BASES[kind]
        fitting = [cls for cls in self.classes if cls._kind == kind]
        if len(fitting) > 1:
            for cls in fitting:
                if not cls._info.shape.validator.failures(contents, ""):
                    return cls
        return fitting[0] if fitting else BASES[kind]

    def info_for(self, keys: Iterable[str]) -> Info | None:
        """What is known of an object with these keys that is about to be stored.

        Of several classes, the one that declares most of them: its values may still have Python
        types that validation knows nothing of.
        """
        infos = [cls._info for cls in self.classes if cls._kind == "dict"]
        if len(infos) < 2:
            return infos[0] if infos else None
        return max(infos, key=lambda info: len(info.keys.keys() & set(keys)))

    @property
    def only_class(self) -> type[Object] | None:
        """The one class that a container here can become; None where contents have to tell."""
        if len(self.classes) == 1 and not self.open:
            return self.classes[0]
        return None

    @property
    def directory(self) -> type[Object] | None:
        """The class of the directory that may be here."""
        for cls in self.classes:
            if cls._kind == "directory":
                return cls
        return BASES["directory"] if self.anything else None

    @property
    def anything(self) -> bool:
        """Whether nothing is known, not even whether a file or a directory is here."""
        return self.schema_of is ANY.schema_of

    @property
    def member(self) -> Member:
        """How it lies on the medium, as the member of a directory."""
        if self._member is None:
            self._member = self._make_member()
        return self._member

    def _make_member(self) -> Member:
        name = self.file or ""
        cls = self.directory
        if cls is not None and not self.anything:
            folder, _, pattern = name.partition("/")
            return Member("directory", folder or None, None, ClassFolder(cls, pattern[1:] or None))
        kind: MemberKind = "any" if self.anything and not name else "file"
        if name.startswith("*"):
            return Member(kind, None, name[1:], ANYTHING)
        return Member(kind, name or None, None, ANYTHING)

    @property
    def validator(self) -> Validator:
        """The validator of whole contents here; compiled when first asked for."""
        if self._validator is None:
            from .validation import Validator

            self._validator = Validator(standalone(self.schema_of))
        return self._validator


def _is_numbered(shape: Shape, seen: set[type[Object]]) -> bool:
    for cls in set(shape.classes) - seen:
        seen.add(cls)
        below = cls._info.below()
        if any(inner.autoid or _is_numbered(inner, seen) for inner in below):
            return True
    return False


def _decoder(codecs: Sequence[Codec]) -> Callable[[Any], Any] | None:
    """How scalars are read: None where they are what they are stored as."""
    if not codecs:
        return None

    def decode(value: Any) -> Any:
        for codec in codecs:
            if codec.accepts(value):
                return codec.decode(value)
        return value

    return decode


def integral(said: Iterable[bool | None]) -> bool | None:
    """``Shape.integral`` where any of several things may be."""
    found = set(said)
    return False if False in found else True if True in found else None


def integral_of(values: Iterable[JSON]) -> bool | None:
    """``Shape.integral`` where one of these values is."""
    return integral(type(value) is int for value in values if type(value) in (int, float))


class Definitions:
    """The ``$defs`` of a schema that is being made: every class with a name, once."""

    def __init__(self, root: type[Object] | None = None) -> None:
        self.schemas: dict[str, JSON] = {}
        self.root = root
        """The class whose schema the whole document is, if it is one's."""
        self._names: dict[object, str] = {}

    def ref(self, cls: type[Object], make: Callable[[Definitions], JSON]) -> JSON:
        """A reference to a class's schema, which is made here if it was not yet."""
        if cls is self.root:
            return {"$ref": "#"}
        name = self._names.get(cls)
        if name is None:
            name = self._free_name(cls.__name__)
            self._names[cls] = name
            self.schemas[name] = True  # its place in the order; a class may refer to itself
            self.schemas[name] = make(self)
        return {"$ref": f"#/$defs/{name}"}

    def document(self, document: object, name: str, make: Callable[[str], JSON]) -> str:
        """The name of a whole schema document among the definitions."""
        if document not in self._names:
            self._names[document] = name = self._free_name(name)
            self.schemas[name] = make(name)
        return self._names[document]

    def _free_name(self, name: str) -> str:
        """``name``, or with a number where two classes share it."""
        free, count = name, 1
        while free in self.schemas:
            count += 1
            free = f"{name}{count}"
        return free


def standalone(schema_of: Callable[[Definitions], JSON], root: type[Object] | None = None) -> JSON:
    """A whole schema document of a shape or class, with the definitions it needs."""
    definitions = Definitions(root)
    schema = schema_of(definitions)
    if not isinstance(schema, dict):
        return schema
    whole: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    if definitions.schemas:
        whole["$defs"] = {**whole.get("$defs", {}), **definitions.schemas}
    return whole


class Pattern(NamedTuple):
    """Keys of one form (``patternProperties``)."""

    regex: re.Pattern[str]
    shape: Shape


class Info:
    """What a class says about the contents of its Objects."""

    __slots__ = ("_found", "items", "keys", "patterns", "prefix", "rest", "shape")

    def __init__(
        self,
        shape: Shape,
        *,
        keys: Mapping[str, Shape] | None = None,
        patterns: Sequence[Pattern] = (),
        rest: Shape | None = None,
        prefix: Sequence[Shape] = (),
        items: Shape | None = None,
    ) -> None:
        self.shape = shape
        """That of the Objects themselves."""
        self.keys = dict(keys or {})
        """Declared keys, in their order."""
        self.patterns = tuple(patterns)
        self.rest = rest
        """Keys that nothing else names; None where they are refused."""
        self.prefix = tuple(prefix)
        self.items = items or ANY
        """Elements of a list, behind those of ``prefix``."""
        self._found: dict[str, Shape | None] = {}

    def shape_for(self, key: str) -> Shape | None:
        """The shape of a key's value; None where the class refuses the key."""
        shape = self.keys.get(key)
        if shape is not None:
            return shape
        return self._pattern(key) if self.patterns else self.rest

    def _pattern(self, key: str) -> Shape | None:
        for regex, shape in self.patterns:
            if regex.search(key):
                return shape
        return self.rest

    def shape_at(self, index: int) -> Shape:
        """The shape of a list's element."""
        return self.prefix[index] if index < len(self.prefix) else self.items

    def below(self) -> Iterator[Shape]:
        """The shapes of everything directly below."""
        yield from self.keys.values()
        yield from (pattern.shape for pattern in self.patterns)
        yield from self.prefix
        yield self.items
        if self.rest is not None:
            yield self.rest

    @property
    def defaults(self) -> Iterator[tuple[str, JSON]]:
        """Declared keys that read as something where contents have nothing."""
        for key, shape in self.keys.items():
            if shape.default is not MISSING:
                yield key, shape.default


class ClassFolder:
    """The layout that a Directory class gives its folder."""

    def __init__(self, cls: type[Object], ending: str | None = None) -> None:
        self._cls = cls
        self._ending = ending

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ClassFolder)
            and self._cls is other._cls
            and self._ending == other._ending
        )

    def __hash__(self) -> int:
        return hash((self._cls, self._ending))

    @property
    def open_ended(self) -> bool:
        """Whether the class takes keys that it does not name."""
        info = self._cls._info
        return info.rest is not None or bool(info.patterns)

    def member(self, key: str) -> Member | None:
        """How the class wants a key to lie; None for one that it does not take."""
        info = self._cls._info
        shape = info.shape_for(key)
        if shape is None:
            return None
        member = shape.member
        ending = self._ending
        if ending is None or key in info.keys or member.kind == "directory" or member.ending:
            return member
        return member._replace(ending=ending)

    def declared(self) -> Iterable[tuple[str, Member]]:
        """The keys that the class names."""
        return ((key, shape.member) for key, shape in self._cls._info.keys.items())


ANY: Final = Shape(schema_of=lambda _: True, integral=False, open=True)
"""Nothing is known: any JSON value."""
