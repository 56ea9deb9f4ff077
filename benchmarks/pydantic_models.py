"""The records of ``data`` as pydantic models; imported by ``peers.need`` alone."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """As strict as the classes of ``models``."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Geo(Model):
    lat: float
    long: float


class Address(Model):
    street: str
    city: str
    geo: Geo


class Person(Model):
    name: str
    born: int
    email: str | None = None
    address: Address
    tags: list[str] = []
    about: str
    visits: int = 0


class Document(Model):
    title: str
    records: dict[str, Person]
