"""The records of ``data`` as dataclasses for datafiles, which wants annotations as types.

A function makes them, as datafiles changes the classes that it is given.
"""

# No "from __future__ import annotations" here.

from dataclasses import dataclass, field


def make_models() -> tuple[type, type]:
    """The models of a record with a key, and of a large document."""

    @dataclass
    class Geo:
        lat: float = 0.0
        long: float = 0.0

    @dataclass
    class Address:
        street: str = ""
        city: str = ""
        geo: Geo = field(default_factory=Geo)

    @dataclass
    class Person:
        key: str
        name: str = ""
        born: int = 0
        email: str = ""
        address: Address = field(default_factory=Address)
        tags: list[str] = field(default_factory=list)
        about: str = ""
        visits: int = 0

    @dataclass
    class Document:
        key: str
        title: str = ""
        records: dict = field(default_factory=dict)  # type: ignore[type-arg]  # datafiles knows no Any

    return Person, Document
