"""Scopes as Documents keep them (conformance, "Documents and the commit log", lines 9 to 11)."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from objstore._scoped import ScopedDocuments
from objstore.documents import DIRECTORY, Change, Commit, Documents
from objstore.errors import ConflictError, ScopeNotFoundError
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.conformance.documents import (
    ADA,
    BOB,
    before_and_after_reopening,
    change,
    put,
    reopened,
)
from tests.conformance.makers import Maker
from tests.conformance.retentions import NEWEST


def test_09_a_scopes_writes_do_not_touch_the_base_nor_other_scopes(
    maker: Maker, url: str, documents: Documents
) -> None:
    put(documents, {"/ada": ADA})
    stamp = documents.load("/ada").stamp
    put(documents, {"/ada": BOB, "/eve": BOB}, scope="mine")
    put(documents, {"/ada": MISSING}, scope="other")
    assert documents.look("/ada", stamp) is stamp
    for opened in before_and_after_reopening(maker, url, documents):
        assert opened.read("/ada") == ADA
        assert opened.keys("") == ["ada"]
        assert opened.read("/ada", at=3) == ADA
        assert opened.scopes() == ["mine", "other"]
        mine, other = opened.overlays("mine"), opened.overlays("other")
        assert {unit: one[:2] for unit, one in mine.items()} == {
            "/ada": (ADA, BOB),
            "/eve": (MISSING, BOB),
        }
        assert {unit: one[:2] for unit, one in other.items()} == {"/ada": (ADA, MISSING)}
        assert not opened.overlays("unknown")


def test_10_commits_and_notifications_carry_the_scope(
    maker: Maker, url: str, documents: Documents
) -> None:
    heard: list[Commit] = []
    documents.listen(heard.append)
    put(documents, {"/ada": ADA})
    commit = put(documents, {"/ada": BOB}, scope="mine")
    put(documents, {"/ada": BOB}, scope="")
    assert (commit.number, commit.scope) == (2, "mine")
    assert commit.changes[0][:3] == ("/ada", ADA, BOB)
    documents.delete_scope("mine")
    assert [one.scope for one in heard] == [None, "mine", "", "mine"]
    for opened in before_and_after_reopening(maker, url, documents):
        assert [one.scope for one in opened.commits()] == [None, "mine", "", "mine"]
        assert [one.number for one in opened.commits(path="/ada")] == [1, 2, 3, 4]


def test_10_the_empty_name_is_a_scope(documents: Documents) -> None:
    assert documents.scopes() == []
    put(documents, {"/ada": ADA}, scope="")
    assert documents.scopes() == [""]
    assert documents.keys("") == []
    documents.delete_scope("")
    assert documents.scopes() == []


def test_10_an_unknown_scope_cannot_be_deleted(documents: Documents) -> None:
    put(documents, {"/ada": ADA}, scope="mine")
    for name in ("", "other"):
        with pytest.raises(ScopeNotFoundError, match=f'"{name}"'):
            documents.delete_scope(name)
    documents.delete_scope("mine")
    with pytest.raises(ScopeNotFoundError, match='"mine"'):
        documents.delete_scope("mine")
    assert documents.head() == 2


def test_10_deletion_is_a_commit_from_the_scope_back_to_the_base(documents: Documents) -> None:
    put(documents, {"/ada": ADA})
    put(documents, {"/ada": BOB, "/eve": BOB}, scope="mine")
    put(documents, {"/ada": {"name": "A."}})
    commit = documents.delete_scope("mine")
    assert (commit.number, commit.scope) == (4, "mine")
    assert sorted(change[:3] for change in commit.changes) == [
        ("/ada", BOB, {"name": "A."}),
        ("/eve", BOB, MISSING),
    ]


def test_10_deletion_takes_back_in_the_scope_what_was_seen_there(documents: Documents) -> None:
    put(documents, {"/ada": ADA, "/eve": BOB})
    scope = ScopedDocuments(documents, "mine")
    put(documents, {"/ada": ADA | {"name": "A."}, "/eve": dict(BOB)}, scope="mine")
    put(documents, {"/ada": ADA | {"born": 1816}, "/eve": MISSING})
    assert scope.read("/ada") == {"name": "A.", "born": 1816}
    assert scope.read("/eve") is MISSING
    heard: list[Commit] = []
    scope.listen(heard.append)
    documents.delete_scope("mine")
    seen = [*scope.commits(3)]
    for told in (seen, heard):
        assert [one.number for one in told] == [4]
        assert [change[:3] for change in told[0].changes] == [
            ("/ada", {"name": "A.", "born": 1816}, {"name": "Ada", "born": 1816})
        ]


def test_11_a_deleted_scope_stays_deleted(maker: Maker, url: str, documents: Documents) -> None:
    put(documents, {"/ada": ADA}, scope="mine")
    put(documents, {"/ada": BOB}, scope="other")
    documents.delete_scope("mine")
    documents.switch_and_snapshot()
    for opened in before_and_after_reopening(maker, url, documents):
        assert opened.scopes() == ["other"]
        assert not opened.overlays("mine")
    again = maker.open(url, layout=ANYTHING)
    put(again, {"/eve": ADA}, scope="mine")
    assert [*again.overlays("mine")] == ["/eve"]
    again.compact(NEWEST)
    assert [*reopened(maker, url, again).overlays("mine")] == ["/eve"]


def test_an_overlay_has_what_the_base_was_when_the_scope_last_wrote(documents: Documents) -> None:
    put(documents, {"/ada": [1]})
    put(documents, {"/ada": ["mine"]}, scope="mine")
    put(documents, {"/ada": [2]})
    assert documents.overlays("mine")["/ada"].base == [1]
    put(documents, {"/ada": ["again"]}, scope="mine")
    assert documents.overlays("mine")["/ada"][:2] == ([2], ["again"])


def test_a_change_in_a_scope_rests_on_its_overlay(documents: Documents) -> None:
    put(documents, {"/ada": ADA})
    first = put(documents, {"/ada": BOB}, scope="mine")
    stamp = documents.overlays("mine")["/ada"].stamp
    assert first.changes[0].stamp is stamp
    with pytest.raises(ConflictError) as caught:
        documents.commit([Change("/ada", ADA, [3])], base=2, scope="mine")
    assert caught.value.theirs == BOB
    put(documents, {"/ada": MISSING}, scope="mine")
    with pytest.raises(ConflictError):
        documents.commit([Change("/ada", BOB, [3], stamp)], base=3, scope="mine")
    gone = documents.overlays("mine")["/ada"]
    assert gone.value is MISSING
    documents.commit([Change("/ada", MISSING, [3], gone.stamp)], base=3, scope="mine")
    assert documents.overlays("mine")["/ada"].value == [3]


def test_a_change_in_a_scope_that_changes_nothing_only_asks(documents: Documents) -> None:
    put(documents, {"/ada": ADA})
    put(documents, {"/ada": BOB}, scope="mine")
    overlay = documents.overlays("mine")["/ada"]
    asks = [
        Change("/ada", overlay.value, overlay.value, overlay.stamp),
        Change("/eve", MISSING, MISSING),
    ]
    commit = documents.commit([*asks, Change("/bob", MISSING, BOB)], base=2, scope="mine")
    assert [change.unit for change in commit.changes] == ["/bob"]
    assert documents.overlays("mine").keys() == {"/ada", "/bob"}
    assert documents.overlays("mine")["/ada"].stamp is overlay.stamp
    put(documents, {"/ada": [], "/eve": ADA}, scope="mine")
    for ask in asks:
        with pytest.raises(ConflictError):
            documents.commit([ask, Change("/zoe", MISSING, BOB)], base=4, scope="mine")


def test_what_a_scope_rests_on_in_the_base_is_judged(documents: Documents) -> None:
    put(documents, {"/ada": ADA})
    ada = documents.load("/ada").stamp
    match = {"/ada": ada, "/eve": None, "": ("ada",)}
    documents.commit([Change("/bob", MISSING, BOB)], base=1, match=match, scope="mine")
    put(documents, {"/ada": BOB})
    with pytest.raises(ConflictError):
        documents.commit([Change("/zoe", MISSING, BOB)], base=1, match=match, scope="mine")


# A scope as Documents


def test_a_change_seen_in_a_scope_rests_on_scope_and_base(documents: Documents) -> None:
    put(documents, {"/ada": ADA, "/bob": BOB})
    scope, other = ScopedDocuments(documents, "mine"), ScopedDocuments(documents, "mine")
    for unit, there in (("/ada", ADA), ("/eve", MISSING)):
        for writer in (documents, other):
            read = scope.load(unit)
            assert scope.look(unit, read.stamp) is read.stamp
            put(writer, {unit: {"n": writer.head()}})
            assert scope.look(unit, read.stamp) is not read.stamp
            for new in ({"new": 1}, MISSING):
                with pytest.raises(ConflictError):
                    scope.commit([Change(unit, read.value, new, read.stamp)], base=1)
        assert scope.load(unit).value != there
    put(scope, {"/ada": {"new": 1}, "/eve": MISSING})
    assert scope.load("/ada").value == {"new": 1}
    assert scope.keys("") == ["ada", "bob"]


def test_what_is_read_in_a_scope_rests_on_scope_and_base(documents: Documents) -> None:
    put(documents, {"/ada": ADA, "/in/bob": BOB})
    scope, other = ScopedDocuments(documents, "mine"), ScopedDocuments(documents, "mine")
    put(scope, {"/ada": BOB})
    for path in ("/ada", "/in/bob", "/eve", "/in"):
        for writer in (documents, other):
            for unit in ("/ada", "/in/bob", "/eve", f"/in/{writer.head()}"):
                match = {
                    path: tuple(scope.keys("/in")) if path == "/in" else scope.load(path).stamp
                }
                made = path == "/in" and unit not in ("/ada", "/in/bob", "/eve")
                put(writer, {unit: {"n": writer.head()}})
                count = [change(scope, "/count", [writer.head()])]
                with pytest.raises(ConflictError) if unit == path or made else nullcontext():
                    scope.commit(count, base=0, match=match)


def test_what_a_scope_took_back_is_the_bases_again(documents: Documents) -> None:
    put(documents, {"/ada": ADA, "/bob": BOB})
    scope = ScopedDocuments(documents, "mine")
    put(scope, {"/ada": {}, "/bob": {}, "/eve": {}})
    put(scope, {"/ada": ADA, "/bob": BOB, "/eve": MISSING})
    put(documents, {"/ada": MISSING, "/bob": {"name": "B."}, "/eve": ADA})
    assert scope.load("/ada") == (MISSING, None)
    assert [scope.load(unit).value for unit in ("/bob", "/eve")] == [{"name": "B."}, ADA]
    assert scope.keys("") == ["bob", "eve"]
    put(documents, {"/ada/below": ADA})
    assert scope.keys("") == ["ada", "bob", "eve"]
    assert scope.keys("/ada") == ["below"]
    assert scope.look("/ada") is DIRECTORY
    assert scope.load("/ada/below").value == ADA


def test_one_commit_tells_the_stamps_that_it_left(documents: Documents) -> None:
    put(documents, {"/ada": ADA})
    scope = ScopedDocuments(documents, "mine")
    asked = [change(scope, "/eve", BOB), change(scope, "/ada", MISSING), change(scope, "/b", [1])]
    commit = scope.commit(asked, base=1)
    assert [one[:3] for one in commit.changes] == [one[:3] for one in asked]
    eve, ada, b = (one.stamp for one in commit.changes)
    assert ada is None
    assert scope.look("/eve", eve) is eve
    scope.commit([Change("/b", [1], [2], b), Change("/eve", BOB, MISSING, eve)], base=2)
    assert scope.keys("") == ["b"]
