"""Where contents do not fit, in words: the engine's errors as Failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, cast

from jsonschema_rs import ValidationError, ValidationErrorKind

from ._codecs import bytes_asked, bytes_in
from ._dialect import APPLICATORS, IN_PLACE, Document
from ._places import Path as _Path
from ._places import Places
from ._words import advice, count, describe, either, phrase, typed
from .errors import Failure
from .pointer import build
from .values import JSON, MISSING, Missing, show

_KEYS_LISTED: Final = 20

_OF_CHILDREN: Final = APPLICATORS.difference(IN_PLACE)


class _Miss(NamedTuple):
    """One thing that is wrong, before it is put in words."""

    path: _Path
    keyword: str
    choices: tuple[str, ...]
    """What would be right, each a phrase."""
    found: str | None = None
    """What stands there, in words; None for the value at the path."""
    within: _Path | None = None
    """Where something else that is wrong may be the only reason for this."""


def explain(
    errors: Iterable[ValidationError], document: Document, value: JSON, source: str
) -> list[Failure]:
    """The engine's errors about ``value``, in the order of its places, each once."""
    reader = _Reader(document, value)
    misses = _without_consequences([miss for error in errors for miss in reader.misses(error)])
    misses.sort(key=_place_in(value))
    return list(dict.fromkeys(_failure(miss, value, source) for miss in misses))


def _failure(miss: _Miss, value: JSON, source: str) -> Failure:
    found = show(_at(value, miss.path)) if miss.found is None else miss.found
    said = advice(_at(value, miss.path), miss.choices) if miss.found is None else ""
    return Failure(source, build(miss.path), either(miss.choices), found, miss.keyword, advice=said)


class _Reader:
    """Reads errors of the engine about one schema document."""

    def __init__(self, document: Document, value: JSON) -> None:
        self._document = document
        self._value = value
        self._places = Places(value)

    def misses(self, error: ValidationError) -> list[_Miss]:
        """What an error says is wrong; often several things."""
        path = self._places.of(error)
        length = self._length_in_bytes(error, path)
        if length is not None:
            return [length]
        match error.kind:
            case ValidationErrorKind.AnyOf(branches) | ValidationErrorKind.OneOfNotValid(branches):
                return self._none_fits(path, error.kind.name, branches)
            case ValidationErrorKind.AdditionalProperties(keys):
                return [self._unknown_key(error, path, key) for key in keys]
            case ValidationErrorKind.UnevaluatedProperties(keys):
                return [self._unevaluated_key(error, path, key) for key in keys]
            case ValidationErrorKind.PropertyNames(inner):
                return [_key_miss(path, miss, inner.instance) for miss in self.misses(inner)]
            case ValidationErrorKind.FalseSchema() if _last(error) == "additionalProperties":
                # Where no key is known at all, the engine is content to say so of the object.
                return [
                    _Miss((*path, key), "additionalProperties", (f"no key {show(key)}",))
                    for key in _steps(_at(self._value, path))
                ]
            case ValidationErrorKind.FalseSchema():
                return [_never(error, path)]
            case _:
                return [self._plain(error, path)]

    def _length_in_bytes(self, error: ValidationError, path: _Path) -> _Miss | None:
        """What an error about the length of base64 text says of the bytes; None for others."""
        place, keyword = list(error.schema_path[:-1]), _last(error)
        if keyword == "anyOf" and place[-2:-1] == ["allOf"]:
            end = self._document.at(build((*place, keyword, 0)))
            keyword = next(iter(end)) if isinstance(end, dict) else keyword
            place = place[:-2]
        if keyword not in ("minLength", "maxLength") or not isinstance(error.instance, str):
            return None
        schema = self._document.at(build(place))
        others = self._document.at(build(place[:-1])) if place[-2:-1] == ["allOf"] else ()
        beside = others if isinstance(others, list) else ()
        asked = bytes_asked(schema, beside) if isinstance(schema, dict) else None
        if asked is None:
            return None
        least, most = asked
        limit = (
            f"at least {count(least, 'byte')}"
            if keyword == "minLength"
            else f"at most {count(most, 'byte')}"
        )
        size = bytes_in(error.instance)
        found = show(error.instance) if size is None else count(size, "byte")
        return _Miss(path, keyword, (limit,), found)

    def _plain(self, error: ValidationError, path: _Path) -> _Miss:
        keyword = error.kind.name
        match error.kind:
            case ValidationErrorKind.Required(key):
                by = "dependentRequired" if _last(error) == "dependentRequired" else keyword
                return _Miss(path, by, (f"key {show(key)}",), show(MISSING))
            case ValidationErrorKind.OneOfMultipleValid(branches):
                text = f"a value that fits only one of {len(branches)} alternatives"
            case ValidationErrorKind.Not():
                unwanted = self._schema_of(error).get("not", MISSING)
                text = f"anything but {describe(self._document, unwanted)}"
            case ValidationErrorKind.Contains():
                text = self._contained(error)
            case ValidationErrorKind.UnevaluatedItems():
                # The engine names the items by their values; where they are, it does not say.
                return _Miss(path, keyword, ("no further items",), within=path)
            case (
                ValidationErrorKind.BacktrackLimitExceeded()
                | ValidationErrorKind.RegexEngineFailure()
            ):
                text = "text that its pattern can be tried on in reasonable time"
            case ValidationErrorKind.Type(names):
                text = typed(names, self._schema_of(error).get("format"))
            case kind:
                text = phrase(keyword, kind.value) or error.message
        # Of a key, the engine gives the place of its value.
        found = show(error.instance) if isinstance(error.instance, str) else None
        return _Miss(path, keyword, (text,), found)

    def _contained(self, error: ValidationError) -> str:
        schema = self._schema_of(error)
        bound, number = "at least", schema.get("minContains", 1)
        if _last(error) == "maxContains":
            bound, number = "at most", schema.get("maxContains", "that many")
        what = describe(self._document, schema.get("contains", MISSING))
        return f"{bound} {number} {'item that is' if number == 1 else 'items that are'} {what}"

    def _unknown_key(self, error: ValidationError, path: _Path, key: str) -> _Miss:
        known = list(self._schema_of(error).get("properties", ()))
        text = f"no key {show(key)}"
        if known:
            listed = ", ".join(known[:_KEYS_LISTED]) + (", …" if known[_KEYS_LISTED:] else "")
            text += f" (known keys: {listed})"
        return _Miss((*path, key), error.kind.name, (text,))

    def _unevaluated_key(self, error: ValidationError, path: _Path, key: str) -> _Miss:
        schema = self._schema_of(error)
        wanted = schema.get("unevaluatedProperties", False)
        text = f"no key {show(key)}"
        if wanted is not False:
            # What is wrong within a container, the engine does not say here.
            inside = isinstance(_at(self._value, (*path, key)), dict | list)
            text = describe(self._document, MISSING if inside else wanted)
        # A schema that does not hold evaluates none of its keys: then a key that is named there
        # may be refused although nothing is wrong with it.
        doubtful = key in self._named_keys(build(error.schema_path[:-1]))
        return _Miss((*path, key), error.kind.name, (text,), within=path if doubtful else None)

    def _named_keys(self, pointer: str) -> set[str]:
        """The keys that the schema there has something to say about, itself or by another."""
        keys: set[str] = set()
        seen: set[str] = set()
        todo = [pointer]
        while todo:
            pointer = todo.pop()
            if pointer not in seen:
                seen.add(pointer)
                schema = self._document.at(pointer)
                keys.update(schema.get("properties", ()) if isinstance(schema, dict) else ())
                todo += self._document.beside(pointer, IN_PLACE)
        return keys

    def _schema_of(self, error: ValidationError) -> dict[str, Any]:
        """The schema with the keyword that the error is about; empty where it is not of ours."""
        *place, keyword = error.schema_path
        schema = self._document.at(build(place))
        return schema if isinstance(schema, dict) and keyword in schema else {}

    def _none_fits(
        self, path: _Path, keyword: str, branches: Sequence[Sequence[ValidationError]]
    ) -> list[_Miss]:
        """What is wrong when no alternative fits: all of them, or the one that was meant."""
        alternatives = [
            list(dict.fromkeys(miss for error in branch for miss in self.misses(error)))
            for branch in branches
        ]
        if all(miss.path == path for misses in alternatives for miss in misses):
            return [_merged(keyword, [_summary(misses) for misses in alternatives])]
        meant = [misses for misses in alternatives if not _another_kind(path, misses)]
        candidates = meant or alternatives
        tags = [[miss for miss in misses if _is_tag(path, miss)] for misses in candidates]
        untagged = [misses for misses, wrong in zip(candidates, tags, strict=True) if not wrong]
        if not untagged and len({miss.path for wrong in tags for miss in wrong}) == 1:
            return [_merged(keyword, [wrong[0] for wrong in tags])]
        return min(untagged or candidates, key=len)


def _summary(misses: Sequence[_Miss]) -> _Miss:
    """Misses in one place as one; where the type is wrong, nothing else matters."""
    wrong_type = [miss for miss in misses if miss.keyword == "type"]
    first, *others = wrong_type or misses
    if not others:
        return first
    return first._replace(choices=(" and ".join(either(miss.choices) for miss in misses),))


def _merged(keyword: str, misses: Sequence[_Miss]) -> _Miss:
    choices = tuple(choice for miss in misses for choice in miss.choices)
    found = {miss.found for miss in misses}
    return _Miss(misses[0].path, keyword, choices, found.pop() if len(found) == 1 else None)


def _another_kind(path: _Path, misses: Sequence[_Miss]) -> bool:
    """Whether an alternative is for values of another kind altogether."""
    kinds = {"type", "const", "enum", "anyOf", "oneOf"}
    return any(miss.path == path and miss.keyword in kinds for miss in misses)


def _is_tag(path: _Path, miss: _Miss) -> bool:
    """Whether a member that tells alternatives apart says that this one is not meant."""
    return len(miss.path) == len(path) + 1 and miss.keyword in {"const", "enum"}


def _key_miss(path: _Path, miss: _Miss, key: object) -> _Miss:
    text = f"a key that is {either(miss.choices)}"
    return _Miss((*path, str(key)), "propertyNames", (text,), show(key))


def _never(error: ValidationError, path: _Path) -> _Miss:
    keyword = next((token for token in reversed(error.schema_path) if token in APPLICATORS), "")
    text = "no value at all"
    if keyword == "propertyNames":
        text = "no keys"
    elif path and keyword in _OF_CHILDREN:
        text = f"no key {show(path[-1])}" if isinstance(path[-1], str) else "no item here"
    return _Miss(path, str(keyword), (text,))


def _last(error: ValidationError) -> str | int:
    return error.schema_path[-1] if error.schema_path else ""


def _without_consequences(misses: list[_Miss]) -> list[_Miss]:
    """Without those that something else that is wrong may be the only reason for."""
    certain = {
        miss.path[:depth]
        for miss in misses
        if miss.within is None
        for depth in range(len(miss.path) + 1)
    }
    return [miss for miss in misses if miss.within is None or miss.within not in certain]


def _at(value: JSON, path: _Path) -> JSON | Missing:
    node: Any = value
    for step in path:
        node = node[step]
    return cast(JSON, node)


def _place_in(value: JSON) -> Callable[[_Miss], tuple[int, ...]]:
    """The order of the contents, as a key for sorting."""
    orders: dict[int, dict[str | int, int]] = {}

    def place(miss: _Miss) -> tuple[int, ...]:
        places: list[int] = []
        node: Any = value
        for step in miss.path:
            order = orders.get(id(node))
            if order is None:
                order = {step: index for index, step in enumerate(_steps(node))}
                orders[id(node)] = order
            places.append(order[step])
            node = node[step]
        return tuple(places)

    return place


def _steps(node: Any) -> Iterable[str | int]:
    return cast("dict[str, Any]", node) if isinstance(node, dict) else range(len(node))
