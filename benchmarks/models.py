"""The records of ``data`` as objstore's classes."""

from __future__ import annotations

from objstore import Dict, Directory


class Geo(Dict):
    lat: float
    long: float


class Address(Dict):
    street: str
    city: str
    geo: Geo


class Person(Dict):
    name: str
    born: int
    email: str | None = None
    address: Address
    tags: list[str] = []
    about: str
    visits: int = 0


class People(Directory):
    people: Directory[Person]


class Document(Dict):
    title: str
    records: Dict[str, Person]


class Documents(Directory):
    doc: Document
