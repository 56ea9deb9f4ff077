"""Conformance "Objects": each behaviour of seed 004 and of design section 4, on every maker.

The numbers in the names are those of the conformance list.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import objstore
from objstore import Dict, Directory, List, Store
from objstore.values import show

from .aftermaths import ALL, name_of
from .library import ADA, BOB, Library, Person, fill
from .makers import MAKERS, Maker

Opener = Callable[..., Store[Library]]


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.name)
def reopen(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Opener]:
    """Opens the same store again and again; checks and closes them all in the end."""
    maker: Maker = request.param
    url = maker.url(tmp_path)
    opened: list[Store[Any]] = []

    def opener(schema: Any = Library, **options: Any) -> Any:
        store = objstore.open(url, schema, **options)
        opened.append(store)
        return store

    yield opener
    for store in opened:
        store.close()
    with objstore.open(url, Library) as store:
        assert store.check() == []


@pytest.fixture(params=ALL, ids=name_of)
def store(request: pytest.FixtureRequest, reopen: Opener) -> Store[Library]:
    store = reopen()
    fill(store)
    found: Store[Library] = request.param(store, reopen)
    return found


# --- 3 to 6: instantiation, parts, keys -----------------------------------------------------------


def test_03_a_declared_directory_is_there_before_its_folder(reopen: Opener) -> None:
    empty = reopen()
    assert isinstance(empty.root.people, Directory)
    assert list(empty.root.people) == []
    assert empty.root.people is empty.root["people"]


def test_04_a_part_is_there_when_its_file_is(store: Store[Library]) -> None:
    bob: Any = store.root.people["bob"]
    tags = bob.tags
    assert isinstance(tags, List)
    assert tags is bob["tags"]
    assert tags == ["a", "b"]


def test_04_changing_a_part_saves_its_file(store: Store[Library], reopen: Opener) -> None:
    store.root.people["bob"].tags.append("c")
    assert reopen().root.people["bob"].tags == ["a", "b", "c"]


def test_04_the_file_is_saved_once_per_transaction(store: Store[Library]) -> None:
    before = store.head
    with store.transaction() as transaction:
        bob = store.root.people["bob"]
        for tag in "cdefg":
            bob.tags.append(tag)
        bob.email = "bob@example.org"
    assert store.head == before + 1
    assert transaction.commit is not None
    assert [change.unit for change in transaction.commit.changes] == ["/people/bob"]


def test_05_defined_keys_are_computed_and_set(store: Store[Library]) -> None:
    ada = store.root.people["ada"]
    assert ada.age == ada["age"] == ada.GET("age") == 211
    ada.age = 36
    assert ada.born == 1990
    ada["age"] = 26
    assert ada == {"name": "Ada", "born": 2000}


def test_05_a_defined_key_without_a_setter_cannot_be_set(store: Store[Library]) -> None:
    ada = store.root.people["ada"]
    with pytest.raises(AttributeError, match="set_initial"):
        ada.initial = "B"
    with pytest.raises(AttributeError, match="get_initial"):
        del ada["initial"]
    assert ada == ADA


def test_06_keys_items_and_len_have_both_kinds(store: Store[Library]) -> None:
    ada = store.root.people["ada"]
    assert set(ada.keys()) == {
        *("name", "born", "email", "address", "friends", "tags"),
        *("age", "initial"),
    }
    assert len(ada) == len(list(ada)) == 8
    assert dict(ada.items())["age"] == 211
    assert "age" in ada
    assert "nobody" not in ada


class Named(Dict):
    first: str
    name: str = "nobody"


class Greeted(Named):
    def get_name(self) -> str:
        return self.first.title()


def test_06_a_defined_key_takes_the_place_of_a_stored_one(reopen: Opener) -> None:
    store = reopen(None)
    store["anything"] = {"first": "ada", "name": "stored"}
    there: Any = reopen(Directory[Greeted]).root["anything"]
    for found in (there, Greeted(first="ada")):
        assert list(found) == list(found.keys()) == ["first", "name"]
        assert list(found.items()) == [("first", "ada"), ("name", "Ada")]
        assert list(found.values()) == ["ada", "Ada"]
        assert len(found) == 2
        assert dict(found) == {"first": "ada", "name": "Ada"}


def test_06_equality_and_contents_have_basic_keys_only(store: Store[Library]) -> None:
    ada = store.root.people["ada"]
    assert ada == ADA
    assert ada.contents == ADA
    assert json.loads(json.dumps(ada.contents)) == ADA
    assert ada != BOB
    assert store.root.people == {"ada": ADA, "bob": BOB}


# --- 7 and 8: access ------------------------------------------------------------------------------


def test_07_attribute_item_and_get_agree(store: Store[Library]) -> None:
    people = store.root.people
    assert store.root["people"] is people is store.root.GET("people") is store.GET("/people")
    ada = people["ada"]
    assert people.ada is ada is people.GET("ada") is store["people/ada"] is store.GET("/people/ada")
    assert ada.name == ada["name"] == ada.GET("name") == store["/people/ada/name"] == "Ada"


def test_07_put_and_delete_agree(store: Store[Library]) -> None:
    ada = store.root.people["ada"]
    ada.email = "1"
    ada["email"] = ada.email + "2"
    ada.PUT("email", ada.email + "3")
    store.PUT("/people/ada/email", ada.email + "4")
    assert ada.email == "1234"
    deletes: list[Callable[[], None]] = [
        lambda: delattr(ada, "email"),
        lambda: ada.__delitem__("email"),
        lambda: ada.DELETE("email"),
        lambda: store.DELETE("/people/ada/email"),
    ]
    for delete in deletes:
        ada.email = "there"
        delete()
        assert ada.contents == ADA


def test_07_head_tells_what_is_there(store: Store[Library]) -> None:
    assert store.HEAD("/people/ada")
    assert store.HEAD("/people/ada/age")
    assert not store.HEAD("/people/eve")
    assert not store.HEAD("/people/ada/name/first")
    assert store.root.people.HEAD("ada")
    assert not store.root.people["ada"].HEAD("nobody")
    tags: Any = store.root.people["bob"].tags
    assert tags.HEAD(1)
    assert not tags.HEAD(2)


class Word(enum.StrEnum):
    TAGS = "tags"
    ADA = "ada"


class Mixed(str, enum.Enum):  # noqa: UP042 - its str() is not its value
    KEY = "a/b"
    FILE = "new"


def test_07_keys_that_are_more_than_str_are_the_text_that_they_are(
    store: Store[Library], reopen: Opener
) -> None:
    people = store.root.people
    assert people[Word.ADA] is people["ada"]
    assert Word.ADA in people
    people[Mixed.FILE] = {"name": "New", "born": 2000}
    assert Mixed.FILE in people
    people["new"][Word.TAGS] = ["x"]
    setattr(people["new"], Word.TAGS, [*getattr(people["new"], Word.TAGS), "y"])
    plain: Any = store.root.setdefault("anything", {})
    plain[Mixed.KEY] = {Mixed.KEY: {"deep": 1}}
    plain.update({Word.ADA: 2})
    nested: Any = plain[Mixed.KEY][Mixed.KEY]
    nested[Mixed.FILE] = 3
    assert plain.pop(Word.ADA) == 2
    again = reopen()
    assert again.root.people["new"].contents == {"name": "New", "born": 2000, "tags": ["x", "y"]}
    assert again.root.anything.contents == {"a/b": {"a/b": {"deep": 1, "new": 3}}}
    keys: list[Any] = [*plain, *vars(plain), *nested, *vars(nested)]
    assert all(type(key) is str for key in keys)
    assert people.pop(Mixed.FILE)["name"] == "New"
    assert set(people) == {"ada", "bob"}


def test_07_missing_keys_are_key_and_attribute_errors(store: Store[Library]) -> None:
    ada = store.root.people["ada"]
    with pytest.raises(KeyError, match="known keys: name, born"):
        ada["nobody"]
    with pytest.raises(AttributeError, match="nobody"):
        ada.nobody
    assert getattr(ada, "nobody", 1) == 1
    assert not hasattr(ada, "nobody")
    assert ada.get("nobody", 2) == 2
    with pytest.raises(KeyError):
        store.root.people["eve"]
    with pytest.raises(AttributeError):
        store.root.people.eve


def test_07_a_missing_file_is_made_by_assignment(reopen: Opener) -> None:
    store = reopen()
    with pytest.raises(KeyError, match=r"has no 'settings' yet: .*settings"):
        store.root["settings"]
    assert "settings" not in store.root
    store.PUT("settings", {"size": 3})
    assert store.root.settings.size == 3
    assert store.root.settings.theme == "light"
    assert store.root.settings == {"size": 3}


def test_08_a_store_is_a_dict_of_pathnames(reopen: Opener) -> None:
    store = reopen(None)
    store["/a/b/c"] = {"x": 1}
    store["a/d"] = [1, 2]
    assert isinstance(store["/a"], Directory)
    assert isinstance(store["/a/b"], Directory)
    assert store["/a/b/c"] == {"x": 1}
    assert store["a/b/c/x"] == 1
    assert store["a/d/1"] == 2
    assert sorted(store) == ["/a/b/c", "/a/d"]
    assert len(store) == 2
    assert reopen(None)["/a/b/c/x"] == 1
    del store["/a/b/c"]
    with pytest.raises(KeyError):
        store["/a/b/c"]
    with pytest.raises(KeyError):
        store["/none/at/all"]
    assert "/a/d" in store
    assert "/a/d/7" not in store
    del store["/a"]
    assert list(store) == []


def test_08_a_second_instance_sees_the_value(store: Store[Library], reopen: Opener) -> None:
    other = reopen()
    assert other.root.people["ada"] == ADA
    store.root.people["ada"].email = "ada@example.org"
    assert other.root.people["ada"].email == "ada@example.org"


# --- 9 and 10: validation -------------------------------------------------------------------------


Change = Callable[[Any], object]
VIOLATIONS: list[tuple[Change, str, str]] = [
    (lambda p: setattr(p, "born", "long ago"), "/born", "an integer"),
    (lambda p: p.__setitem__("nick", "x"), "/nick", 'no key "nick"'),
    (lambda p: p.tags.append(1), "/tags/2", "a string"),
    (lambda p: p.friends.append({"city": "Rome"}), "/friends/0", 'key "street"'),
    (lambda p: delattr(p, "name"), "", 'key "name"'),
    (lambda p: p.update(email="e", born=None), "/born", "an integer"),
    (lambda p: p.PUT("address", {"street": 1}), "/address/street", "a string"),
]


@pytest.mark.parametrize(("change", "pointer", "words"), VIOLATIONS)
def test_09_violations_are_refused_and_nothing_is_changed(
    store: Store[Library], reopen: Opener, change: Any, pointer: str, words: str
) -> None:
    bob = store.root.people["bob"]
    head = store.head
    with pytest.raises(objstore.ValidationError) as caught:
        change(bob)
    (failure,) = caught.value.failures
    assert (failure.pointer, words in failure.expected) == (pointer, True)
    assert "bob" in failure.source
    assert bob == BOB
    assert store.head == head
    assert reopen().root.people["bob"] == BOB


def test_09_all_failures_of_a_transaction_come_at_once(store: Store[Library]) -> None:
    with pytest.raises(objstore.ValidationError) as caught, store.transaction():
        store.root.people["ada"].PUT("born", "x")
        store.root.people["bob"].PUT("name", 1)
        store.root.people["eve"] = {}
    found = {(f.source.split("/")[-1].split(".")[0], f.pointer) for f in caught.value.failures}
    assert found == {("ada", "/born"), ("bob", "/name"), ("eve", "")}
    assert set(store.root.people) == {"ada", "bob"}
    assert store.root.people["ada"] == ADA


def test_09_all_failures_of_an_assignment_come_at_once(store: Store[Library]) -> None:
    people: Any = {
        "ada": {"name": 1, "born": "x"},
        "new": ADA,
        "bob": 5,
        "eve": {"born": set[str]()},
    }
    with pytest.raises(objstore.ValidationError) as caught:
        store.root.people = people
    told = [
        (f.source.split("/")[-1].split(".")[0], f.pointer, f.found) for f in caught.value.failures
    ]
    assert told == [
        ("ada", "/name", "1"),
        ("ada", "/born", '"x"'),
        ("bob", "", "5"),
        ("eve", "/born", "a set"),
    ]
    assert set(store.root.people) == {"ada", "bob"}
    assert store.root.people["ada"] == ADA
    for wrong in (5, "text", [1]):
        words = f"expected an object, as a directory is one, found {show(wrong)}"
        with pytest.raises(objstore.ValidationError, match=re.escape(words)):
            store.PUT("people", wrong)


def test_09_failures_at_all_depths_come_at_once() -> None:
    class Team(Directory):
        people: Directory[Person]
        settings: Person

    with objstore.open("memory://", Directory[Team]) as store:
        with pytest.raises(objstore.ValidationError) as caught:
            store["a"] = {
                "people": {"ada": 5, "bob": {**BOB, "born": "x"}},
                "other": {},
                "settings": {},
            }
        assert [str(failure) for failure in caught.value.failures] == [
            "/a/people/ada: expected an object or array, as a file holds one, found 5",
            '/a/people/bob at /born: expected an integer, found "x"',
            "a/: expected no member 'other' (known: people, settings), found {}",
            '/a/settings: expected key "name", found nothing',
            '/a/settings: expected key "born", found nothing',
        ]
        assert list(store) == []


def test_09_a_member_that_the_directory_does_not_know(store: Store[Library]) -> None:
    with pytest.raises(objstore.ValidationError, match="no member 'films'"):
        store.root["films"] = {}
    with pytest.raises(KeyError, match="known keys: people, settings, reading, anything"):
        store.root["films"]


def test_10_objects_equal_their_contents_at_every_level(store: Store[Library]) -> None:
    bob = store.root.people["bob"]
    assert bob == BOB
    assert bob.tags == ["a", "b"]
    assert bob == BOB
    contents = bob.contents
    contents["tags"].append("mine")
    assert bob.tags == ["a", "b"]
    assert bob == Person(**BOB)


# --- what design section 4 adds -------------------------------------------------------------------


def test_the_same_file_gives_the_same_object(store: Store[Library]) -> None:
    ada = store.root.people["ada"]
    assert store.root.people["ada"] is ada
    assert store["/people/ada"] is ada
    with store.transaction():
        assert store.root.people["ada"] is ada


def test_unattached_objects_are_validated_and_assigned(store: Store[Library]) -> None:
    eve = Person(name="Eve", born=1990, tags=["x"])
    eve.tags.append("y")
    with pytest.raises(objstore.ValidationError):
        eve.born = "never"  # type: ignore[assignment]
    with pytest.raises(objstore.ValidationError, match='key "born"'):
        Person(name="Eve")  # type: ignore[call-arg]
    store.root.people["eve"] = eve
    eve.tags.append("z")
    assert store.root.people["eve"] == {"name": "Eve", "born": 1990, "tags": ["x", "y"]}
    assert Person(name="Kid", age=6).born == 2020  # type: ignore[call-arg]


def test_what_was_assigned_is_not_shared(store: Store[Library]) -> None:
    tags = ["x"]
    store.root.people["ada"].PUT("tags", tags)
    tags.append("mine")
    assert store.root.people["ada"].tags == ["x"]
    store.root.people["bob"].PUT("tags", store.root.people["ada"].tags)
    store.root.people["bob"].tags.append("y")
    assert store.root.people["ada"].tags == ["x"]


def test_defaults_are_read_but_not_written(store: Store[Library], reopen: Opener) -> None:
    ada = store.root.people["ada"]
    assert ada.email is None
    assert ada.tags == []
    ada.born = 1816
    assert ada.contents == {"name": "Ada", "born": 1816}
    ada.tags.append("first")
    assert reopen().root.people["ada"].contents == {"name": "Ada", "born": 1816, "tags": ["first"]}


def test_a_default_part_of_a_part(store: Store[Library]) -> None:
    bob: Any = store.root.people["bob"]
    bob.friends.append({"street": "A"})
    assert bob.friends[0].city == "London"
    bob.friends[0].city = "Rome"
    assert bob.friends == [{"street": "A", "city": "Rome"}]


def test_a_part_follows_its_element(store: Store[Library]) -> None:
    reading = store.root.reading
    emma, ulysses = reading
    reading.insert(0, {"title": "Dubliners"})
    assert (emma.title, ulysses.title) == ("Emma", "Ulysses")
    assert reading[2] is ulysses
    ulysses.title = "Ulysses!"
    assert reading == [{"title": "Dubliners"}, {"title": "Emma"}, {"title": "Ulysses!"}]
    del reading[1]
    with pytest.raises(objstore.DetachedError):
        emma.title
    with pytest.raises(objstore.DetachedError):
        emma.title = "x"
    assert ulysses.title == "Ulysses!"
    reading.sort(key=lambda entry: entry.title, reverse=True)
    assert reading[0] is ulysses
    reading.reverse()
    assert reading[1] is ulysses
    assert "detached" in repr(emma)


def test_a_part_is_where_it_was_after_a_rollback(store: Store[Library]) -> None:
    reading = store.root.reading
    emma, ulysses = reading
    new: Any = None
    with pytest.raises(ZeroDivisionError), store.transaction():
        reading.insert(0, {"title": "Dubliners"})
        new = reading[0]
        del reading[1]
        assert new.title == "Dubliners"
        assert ulysses.title == "Ulysses"
        with pytest.raises(objstore.DetachedError):
            emma.title
        raise ZeroDivisionError
    assert (emma.title, ulysses.title) == ("Emma", "Ulysses")
    assert reading[0] is emma
    with pytest.raises(objstore.DetachedError):
        new.title


def test_an_object_whose_file_is_deleted(store: Store[Library]) -> None:
    ada = store.root.people["ada"]
    assert ada.name == "Ada"
    del store.root.people["ada"]
    with pytest.raises(objstore.DetachedError):
        ada.name
    store.root.people["ada"] = BOB
    assert ada.name == "Bob"


def test_replacing_a_directory_as_a_whole(store: Store[Library]) -> None:
    store.PUT("people", {"eve": {"name": "Eve", "born": 1990}, "bob": BOB})
    assert set(store.root.people) == {"eve", "bob"}
    assert store.root.people.pop("bob") == BOB
    store.root.people.clear()
    assert list(store.root.people) == []
    assert store.root.people.setdefault("ada", ADA) == ADA
    assert store.root.people.popitem()[1] == ADA


def test_readonly_refuses_every_write(store: Store[Library], reopen: Opener) -> None:
    view = reopen(readonly=True)
    ada = view.root.people["ada"]
    writes: list[Callable[[], None]] = [
        lambda: setattr(ada, "email", "x"),
        lambda: view.root.people.__delitem__("ada"),
        lambda: view.PUT("/people/eve", ADA),
        lambda: view.root.reading.append({"title": "x"}),
    ]
    for write in writes:
        with pytest.raises(objstore.ReadOnlyError):
            write()
    assert ada == ADA


def test_closing_is_final_and_repeatable(reopen: Opener) -> None:
    store = reopen()
    fill(store)
    ada = store.root.people["ada"]
    assert ada.name == "Ada"
    store.close()
    store.close()
    for use in (
        lambda: store.root,
        lambda: store["/people"],
        lambda: store.transaction(),
        lambda: list(store),
        lambda: setattr(ada, "name", "x"),
    ):
        with pytest.raises(objstore.ClosedError):
            use()


def test_copies_are_unattached(store: Store[Library]) -> None:
    import copy

    bob = store.root.people["bob"]
    twin = copy.deepcopy(bob)
    twin.tags.append("c")
    assert isinstance(twin, Person)
    assert bob.tags == ["a", "b"]


def test_what_a_dict_has_is_there(store: Store[Library]) -> None:
    objects: list[Any] = [store.root.people, store.root.people["bob"]]
    for found in objects:
        assert list(reversed(found)) == list(found)[::-1]
        assert type(found.copy()) is dict
        assert found.copy() == found.contents
        assert (found.get(None), found.get(1, 2), None in found) == (None, 2, False)
        assert found.pop(None, 3) == 3


def test_plain_classes_take_any_key(store: Store[Library]) -> None:
    store.root["anything"] = {"a": {"b": [1, {"c": None}]}}
    found: Any = store.root.anything
    found.x = 1.5
    found["a"].b[1].c = {"deep": True}
    assert found == {"a": {"b": [1, {"c": {"deep": True}}]}, "x": 1.5}
    assert type(found.a) is Dict
    found.a.b += ["more"]
    found |= {"y": 2}
    assert found.a.b[-1] == "more"
    assert store.root.anything.y == 2


# --- 11 and 12 -----------------------------------------------------------------------------------
# 11, the contracts of MutableMapping and MutableSequence, is tests/test_contracts.py.


def test_12_nested_objects_load_persist_and_are_validated(
    store: Store[Library], reopen: Opener
) -> None:
    """What the original loses: nested loading, ``__setitem__`` of a Dict, validation of lists."""
    store.root.people["bob"].PUT("friends", [{"street": "A"}, {"street": "B"}])
    other = reopen()
    nested: Any = other.root.people["bob"].friends[1]
    assert nested["street"] == "B"
    nested["street"] = "C"
    nested["city"] = "Rome"
    other.root.reading[0]["title"] = "Emma!"
    again = reopen()
    assert again.root.people["bob"].friends == [{"street": "A"}, {"street": "C", "city": "Rome"}]
    assert again.root.reading == [{"title": "Emma!"}, {"title": "Ulysses"}]
    loaded: Any = again.root.reading
    with pytest.raises(objstore.ValidationError, match="/2/title"):
        loaded.append({"title": 5})
    with pytest.raises(objstore.ValidationError, match="/0"):
        loaded[0] = "no entry"
    assert len(loaded) == 2
