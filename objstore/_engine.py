"""The engine that judges: jsonschema-rs, told which formats to assert and never to fetch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from jsonschema_rs import (
    Draft202012,
    Draft202012Validator,
    Registry,
    ValidationError,
    ValidationErrorKind,
)

from ._dialect import DIALECT, Document
from ._explain import explain
from ._foreign import foreign_parts
from .checks import CHECKS
from .errors import Failure, SchemaError
from .values import JSON, show

Judge: TypeAlias = Callable[[JSON], bool]
_Checks: TypeAlias = dict[str, Callable[[str], bool]]

_BASE: Final = "urn:objstore:schema"


class Engine:
    """Judges whole values by a document. Raises SchemaError where that is wrong in itself."""

    def __init__(self, document: Document, source: str) -> None:
        self._document = document
        self._validator = _compile_document(document, source)

    def failures(self, value: JSON, source: str) -> list[Failure]:
        """Every place where ``value`` does not fit."""
        try:
            if self._validator.is_valid(value):
                return []
            errors = list(self._validator.iter_errors(value))
            failures = explain(errors, self._document, value, source)
        except ValueError:
            failures = []  # the value is not JSON: which part of it is not, is found next
        return (
            failures
            or foreign_parts(value, source)
            or [Failure(source, "", "what the schema asks for", show(value))]
        )


def _compile_document(document: Document, source: str) -> Draft202012Validator:
    schema = document.schema
    if not isinstance(schema, bool | dict):
        raise SchemaError(f"{source}: a schema is an object, true or false, not {show(schema)}")
    if isinstance(schema, dict):
        _check_dialect(schema, source)
    try:
        return _compile(schema, _checks(document))
    except ValidationError as error:
        raise SchemaError(_schema_fault(error, schema, source)) from error
    except ValueError as error:
        foreign = "; ".join(map(str, foreign_parts(schema, source)))
        raise SchemaError(foreign or f"{source}: {error}") from error


def _schema_fault(error: ValidationError, schema: bool | dict[str, Any], source: str) -> str:
    if isinstance(error.kind, ValidationErrorKind.Referencing):
        return f"{source}: a reference leads out of the schema, or nowhere: {error.message}"
    # The engine's error is about the schema as a value of the meta-schema.
    return "; ".join(map(str, explain([error], Document(True), schema, source)))


def _check_dialect(schema: dict[str, Any], source: str) -> None:
    dialect = schema.get("$schema", DIALECT)
    # Read as 2020-12, a schema of another draft could allow what it means to refuse.
    if isinstance(dialect, str) and dialect.removesuffix("#") != DIALECT:
        raise SchemaError(f"{source}: its $schema is {dialect}; only {DIALECT} is understood")


def _checks(document: Document) -> _Checks:
    # The engine would assert formats of its own; naming them here takes that from it.
    return {name: CHECKS.get(name, _anything) for name in document.formats()}


def _anything(text: str) -> bool:
    return True


def _compile(
    schema: bool | dict[str, Any], checks: _Checks, registry: Registry | None = None
) -> Draft202012Validator:
    return Draft202012Validator(
        schema, formats=checks, validate_formats=True, registry=registry, offline=True
    )


class Pieces:
    """Compiles parts of a document that ``Document.is_static``, references and all."""

    def __init__(self, document: Document) -> None:
        schema = document.schema
        if isinstance(schema, dict):
            schema = {key: value for key, value in schema.items() if key != "$id"}
        self._checks = _checks(document)
        self._registry = Registry([(_BASE, schema)], draft=Draft202012)

    def compile(self, schema: dict[str, Any]) -> Judge:
        """The verdict of a schema whose subschemas are made by ``reference``."""
        return _compile(schema, self._checks, self._registry).is_valid

    def reference(self, pointer: str) -> dict[str, Any]:
        """A schema that is the one at ``pointer`` in the document."""
        return {"$ref": f"{_BASE}#{quote(pointer)}"}
