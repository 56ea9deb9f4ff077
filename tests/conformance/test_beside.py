"""What a Store keeps beside its objects."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import BackingError, ClosedError, Dict, Directory, Store, ValidationError
from objstore.references import Dangling
from tests.conformance.makers import MAKERS, Maker
from tests.conformance.retentions import NEWEST

Open = Callable[..., Store[Any]]


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.name)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    maker: Maker = request.param
    url = maker.url(tmp_path)

    def open_it(**options: Any) -> Store[Any]:
        return objstore.open(url, **options)

    return open_it


class Named(Dict, extra="allow"):
    name: str


class People(Directory):
    ada: Named


def test_containers_events_and_blobs_lie_beside_the_objects(open_store: Open) -> None:
    with open_store() as store:
        store["/ada"] = {"name": "Ada"}
        store.containers["cache"]["k"] = {"any": "json"}
        store.events.append("person-added", {"id": "ada"})
        blob = store.depot.put(b"picture")
        store["/ada/photo"] = store.depot.link(blob)
        assert sorted(store) == ["/ada"]
    with open_store() as store:
        assert store.containers["cache"]["k"] == {"any": "json"}
        assert [event.data for event in store.events] == [{"id": "ada"}]
        with store.depot.open(blob) as file:
            assert file.read() == b"picture"
        assert store.dangling() == []
        assert store.check() == []


def test_they_are_the_same_each_time(open_store: Open) -> None:
    with open_store() as store:
        assert store.events is store.events
        assert store.containers is store.containers
        assert store.depot is store.depot


def test_scopes_and_the_past_say_whose_to_use(open_store: Open) -> None:
    with open_store() as store:
        store["/ada"] = {"name": "Ada"}
        for view, words in ((store.scope("mine"), 'scope "mine"'), (store.at(1), "as of commit 1")):
            for ask in ("containers", "events", "depot"):
                with pytest.raises(AttributeError, match=f"{words}> .* use those of the store"):
                    getattr(view, ask)
            for call in (view.dangling, view.follow_commits):
                with pytest.raises(AttributeError, match="use those of the store itself"):
                    call()


def test_references_without_blobs_and_blobs_without_references(open_store: Open) -> None:
    with open_store() as store:
        lost, kept, lonely = (store.depot.put(name) for name in (b"1", b"2", b"3"))
        store["/people/ada"] = {"photos": [store.depot.link(lost), store.depot.link(kept)]}
        store.depot.purge(lost)
        found = store.dangling()
    assert [(one.identifier, one.pointer) for one in found] == [
        (lost, "/people/ada/photos/0"),
        (lonely, None),
    ]


def test_check_tells_links_to_blobs_that_cannot_be_read(open_store: Open) -> None:
    with open_store() as store:
        lost, kept = store.depot.put(b"1"), store.depot.put(b"2")
        store.depot.put(b"no link leads to this one, which is no fault")
        begun = objstore.Identifier.new()
        store.depot.reserve(begun, 3)
        store["/people/ada"] = {"photos": [store.depot.link(kept), store.depot.link(lost)]}
        store["/bob"] = {"a/b": begun.link}
        assert [failure.pointer for failure in store.check()] == ["/a~1b"]
        store.depot.purge(lost)
        bob, ada = store.check()
        assert (bob.pointer, ada.pointer) == ("/a~1b", "/photos/1")
        assert "ada" in ada.source
        words = f'at /photos/1: expected a link to a blob that can be read, found "{lost.link}"'
        assert words in str(ada)
        store["/people/ada/photos"] = []
        store["/bob"] = {}
        assert store.check() == []


def test_references_in_scopes_count(open_store: Open) -> None:
    with open_store() as store:
        kept, lost = store.depot.put(b"1"), store.depot.put(b"2")
        draft = store.scope("draft")
        draft["/people/ada"] = {"photos": [store.depot.link(kept), store.depot.link(lost)]}
        draft["/people/bob"] = {}
        del draft["/people/bob"]
        store.depot.purge(lost)
        assert store.dangling() == [Dangling(lost, "/people/ada/photos/1", "draft")]


def test_check_knows_nothing_of_the_blobs_of_others(open_store: Open) -> None:
    elsewhere = objstore.MemoryDepot()
    with open_store() as store:
        store["/ada"] = {"photo": elsewhere.link(elsewhere.put(b"1"))}
        assert store.check() == []


def test_checking_scopes_and_the_past_tells_nothing_of_links(open_store: Open) -> None:
    with open_store() as store:
        lost = store.depot.put(b"1")
        store.depot.put(b"2")
        store["/ada"] = {"photo": store.depot.link(lost)}
        store.depot.purge(lost)
        assert len(store.check()) == 1
        assert store.at(1).check() == store.scope("mine").check() == []


@pytest.mark.parametrize("name", ["events", "containers"])
def test_all_are_closed_whatever_one_raises(
    open_store: Open, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store["/ada"] = {}
    events, cache = store.events, store.containers["cache"]
    events.append("note", {})
    cache["k"] = 1
    failing = getattr(store, name)
    close = failing.close

    def fail() -> None:
        close()
        raise BackingError("it cannot be closed")

    monkeypatch.setattr(failing, "close", fail)
    with pytest.raises(BackingError, match="cannot be closed"):
        store.close()
    for use in (store.flush, lambda: events.append("note", {}), lambda: cache["k"]):
        with pytest.raises(ClosedError):
            use()


def test_a_reference_in_a_file_that_its_schema_refuses_is_one(open_store: Open) -> None:
    with open_store() as store:
        kept, lost = store.depot.put(b"1"), store.depot.put(b"2")
        store["/ada"] = {"name": 1, "photos": [store.depot.link(kept), store.depot.link(lost)]}
        store.depot.purge(lost)
    with open_store(schema=People) as store:
        with pytest.raises(ValidationError):
            store["/ada"].contents
        assert [(one.identifier, one.pointer) for one in store.dangling()] == [
            (lost, "/ada/photos/1")
        ]


def test_one_subscription_hears_of_events_and_commits(open_store: Open) -> None:
    with open_store() as store:
        assert store.follow_commits() == 0
        store["/ada"] = {"name": "Ada"}
        store.events.append("note", {"text": "in between"})
        with store.transaction(meta={"author": "me"}):
            store["/bob"] = {"name": "Bob"}
        assert store.follow_commits() == 2
        assert store.follow_commits() == 0
        del store["/ada"]
        assert store.follow_commits() == 1
        told = [(event.type, event.data.get("units")) for event in store.events]
        assert told == [
            ("note", None),
            ("commit", ["/ada"]),
            ("commit", ["/bob"]),
            ("commit", ["/ada"]),
        ]
        assert store.events.verify().position == 4


def test_one_subscription_goes_on_to_hear_of_both(open_store: Open) -> None:
    with open_store() as store:
        store["/ada"] = {"name": "Ada"}
        assert store.follow_commits(live=True) == 1
        assert store.follow_commits(live=True) == 0
        told: dict[str, list[int]] = {"commit": [], "note": []}
        with store.events.subscribe(timeout=10) as subscription:
            for n in range(5):
                store["/ada/n"] = n
                store.events.append("note", {"number": n})
            for event in islice(subscription, 11):
                told[event.type].append(event.data["number"])
        assert told == {"commit": [1, 2, 3, 4, 5, 6], "note": [0, 1, 2, 3, 4]}


def test_a_consumer_of_events_may_follow_commits_itself(open_store: Open) -> None:
    with open_store() as store:

        class Again:
            def consume(self, event: Any) -> None:
                store.follow_commits()

        store.events.register(Again(), "commit")
        for n in range(3):
            store["/ada"] = {"n": n}
        store.follow_commits()
        assert [event.data["number"] for event in store.events] == [1, 2, 3]


def test_a_commit_whose_meta_no_event_can_hold_is_followed_as_text(open_store: Open) -> None:
    most, below = 2**53 - 1, {"least": -(2**53)}
    with open_store() as store:
        with store.transaction(meta={"job": 2**60, "of": [True, 1.5, below, most]}):
            store["/ada"] = {"name": "Ada"}
        store["/bob"] = {"name": "Bob"}
        assert store.follow_commits() == 2
        assert store.events[0].data["meta"] == {
            "job": "1152921504606846976",
            "of": [True, 1.5, {"least": "-9007199254740992"}, most],
        }
        assert store.events.verify().position == 2


def test_a_readonly_store_follows_nothing(open_store: Open) -> None:
    with open_store() as store:
        store["/ada"] = {"name": "Ada"}
    with open_store(readonly=True) as store, pytest.raises(objstore.ReadOnlyError):
        store.follow_commits(live=True)


def test_commits_are_followed_where_the_past_was_removed(open_store: Open) -> None:
    with open_store() as store:
        for n in range(4):
            store["/ada"] = {"n": n}
        store.compact(NEWEST)
        left = [commit.number for commit in store.log()]
        assert store.follow_commits() == len(left) < 4
        store["/ada"] = {"n": 4}
        assert store.follow_commits() == 1
        assert [event.data["number"] for event in store.events] == [*left, 5]


def test_what_is_committed_last_is_followed_before_the_store_closes(open_store: Open) -> None:
    with open_store() as store:
        store.follow_commits(live=True)
        for n in range(20):
            store["/ada"] = {"n": n}
    with open_store() as store:
        assert [event.data["number"] for event in store.events] == list(range(1, 21))


def test_a_store_closes_though_a_consumer_of_its_last_commit_fails(
    open_store: Open, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def consume(self, event: Any) -> None:
            raise RuntimeError("broken consumer")

    store = open_store()
    events = store.events
    events.register(Broken(), "commit")
    store.follow_commits(live=True)
    store["/ada"] = {"name": "Ada"}
    store.close()
    with pytest.raises(objstore.ClosedError):
        store["/ada"].contents
    with pytest.raises(objstore.ClosedError):
        events.append("note", {})
    assert "broken consumer" in caplog.text
    with open_store() as store:
        assert [event.type for event in store.events] == ["commit"]


def test_a_readonly_store_writes_none_of_them(open_store: Open) -> None:
    with open_store() as store:
        store["/ada"] = {"name": "Ada"}
    with open_store(readonly=True) as store:
        with pytest.raises(objstore.ReadOnlyError):
            store.containers["cache"]["k"] = 1
        with pytest.raises(objstore.ReadOnlyError):
            store.events.append("note", {})
        with pytest.raises(objstore.ReadOnlyError):
            store.depot.put(b"x")


def test_a_closed_store_has_none(open_store: Open) -> None:
    store = open_store()
    events = store.events
    store.close()
    for name in ("containers", "events", "depot"):
        with pytest.raises(objstore.ClosedError):
            getattr(store, name)
    with pytest.raises(objstore.ClosedError):
        events.append("note", {})
