"""The classes that tests of the object layer share: a small library of people and readings."""

from __future__ import annotations

from typing import Any

import objstore
from objstore import Dict, Directory, List


class Address(Dict):
    street: str
    city: str = "London"


class Person(Dict):
    name: str
    born: int
    email: str | None = None
    address: Address | None = None
    friends: list[Address] = []
    tags: list[str] = []

    def get_age(self) -> int:
        return 2026 - self.born

    def set_age(self, age: int) -> None:
        self.born = 2026 - age

    def get_initial(self) -> str:
        return self.name[0]


class Settings(Dict):
    theme: str = "light"
    size: int = 12


class Entry(Dict):
    title: str


class Library(Directory):
    people: Directory[Person]
    settings: Settings
    reading: List[Entry] = objstore.file("reading.yaml")
    anything: Dict


ADA: dict[str, Any] = {"name": "Ada", "born": 1815}
BOB: dict[str, Any] = {"name": "Bob", "born": 1970, "tags": ["a", "b"]}


def fill(store: objstore.Store[Library]) -> None:
    """Two people, settings, and a reading list."""
    with store.transaction():
        store.root.people["ada"] = ADA
        store.root.people["bob"] = BOB
        store.PUT("settings", {"theme": "dark"})
        store.PUT("reading", [{"title": "Emma"}, {"title": "Ulysses"}])
