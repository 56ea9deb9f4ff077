"""The keywords of objstore in a JSON Schema: where they are ones, and where a name looks so."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

import objstore
from objstore import Directory
from objstore.schema import from_json

PART: dict[str, Any] = {"properties": {"size": {"type": "integer"}}, "required": ["size"]}


@pytest.mark.parametrize("name", ["file", "backing", "autoid", "const", "default", "$ref", "items"])
def test_what_is_called_as_a_keyword_is_none(name: str) -> None:
    part: dict[str, Any] = {
        "type": "object",
        "properties": {name: PART, "other": {"$ref": f"#/definitions/{name}"}},
        "dependentRequired": {name: ["other"]},
        "discriminator": {"mapping": {name: f"#/definitions/{name}"}},
    }
    definitions = {name: PART, "part": part}
    whole = {"definitions": definitions, "properties": {"a": {"$ref": "#/definitions/part"}}}
    own: Any = from_json({"definitions": definitions, "$ref": "#/definitions/part"}, kind="dict")

    class Moved(Directory):  # the references of the part lead elsewhere in its schema
        a: own  # pyright: ignore[reportInvalidTypeForm]

    for described in (whole, Moved, objstore.schema.to_json(Moved)):
        with objstore.open("memory://", described) as store:
            good = {name: {"size": 1}, "other": {"size": 2}}
            store["a"] = good
            assert store["a"].contents == good
            for wrong in ({name: {"size": 1}}, {**good, "other": {"size": "x"}}):
                with pytest.raises(objstore.ValidationError):
                    store["a"] = wrong


class File(BaseModel):
    kind: Literal["file"]
    path: str


class Page(BaseModel):
    kind: Literal["web"]
    url: str


class Job(BaseModel):
    source: Annotated[File | Page, Field(discriminator="kind")]


class Jobs(Directory):
    jobs: Directory[Job]


def test_a_tag_of_a_discriminated_union_may_be_one() -> None:
    with objstore.open("memory://", Jobs) as store:
        store["jobs/a"] = {"source": {"kind": "file", "path": "x"}}
        with pytest.raises(objstore.ValidationError):
            store["jobs/b"] = {"source": {"kind": "file", "url": "x"}}


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"definitions": {"x": {"backing": "folder"}}}, "/definitions/x/backing"),
        ({"anyOf": [{}, {"file": 1}]}, "/anyOf/1/file"),
        ({"not": {"autoid": 1}}, "/not/autoid"),
        (
            {"components": {"x": {"backing": "folder"}}, "$ref": "#/components/x"},
            "/components/x/backing",
        ),
    ],
)
def test_a_keyword_is_checked_wherever_schemas_are(schema: dict[str, Any], place: str) -> None:
    with pytest.raises(objstore.SchemaError, match=place):
        from_json(schema)


def test_a_schema_that_contains_itself_is_refused() -> None:
    schema: dict[str, Any] = {"type": "object"}
    schema["properties"] = {"a": schema, "b": schema}
    with pytest.raises(objstore.SchemaError, match="at most 400 levels"):
        from_json(schema)
