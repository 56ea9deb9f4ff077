"""What the JSON Schema of a pydantic model does not say: which text is a Decimal or of an Enum.

Imported for programs that bring a model, and pydantic with it.
"""

from __future__ import annotations

from contextlib import suppress
from enum import Enum
from typing import Any, cast

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from ._codecs import Codec, of_enum
from .errors import SchemaError


def described(model: type) -> tuple[dict[str, Any], dict[str, Codec]]:
    """The JSON Schema of a model, where text that is a Decimal has this format.

    And codecs for its subschemas that are Enums, each by its ``enum_key``.
    """
    enums: dict[str, set[type[Enum]]] = {}

    class Generator(GenerateJsonSchema):
        def decimal_schema(self, schema: Any) -> JsonSchemaValue:
            made = super().decimal_schema(schema)
            for one in made.get("anyOf", [made]):
                if one.get("type") == "string":
                    one["format"] = "decimal"
            return made

        def enum_schema(self, schema: Any) -> JsonSchemaValue:
            made = super().enum_schema(schema)
            enums.setdefault(enum_key(made), set()).add(schema["cls"])
            return made

    found: dict[str, Any] = cast(Any, model).model_json_schema(schema_generator=Generator)
    codecs: dict[str, Codec] = {}
    for key, (cls, *others) in enums.items():
        if not others:  # whose schemas say the same, and nothing which is meant
            with suppress(SchemaError):  # values that are no scalars are read as they are stored
                codecs[key] = of_enum(cls)
    return found, codecs


def enum_key(schema: dict[str, Any]) -> str:
    """By what the schema of an Enum is known again, wherever it stands."""
    return repr([schema.get(keyword) for keyword in ("title", "enum", "const")])
