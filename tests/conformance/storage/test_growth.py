"""What a call costs does not grow with what the transaction has done before."""

from __future__ import annotations

import pytest

from objstore.containers import Container
from objstore.storage import Scans, Storage
from tests.counting import calls_of

MANY = {f"{number:03}": "x" for number in range(300)}


@pytest.fixture
def container(storage: Storage) -> Container:
    storage.add_container("c")
    storage.set_container_items("c", MANY)
    return Container(storage, "c")


def test_a_transaction_sorts_the_keys_once(storage: Storage, container: Container) -> None:
    left = dict(MANY)
    with storage.transaction():
        container["002"] = left["002"] = "changed"

        def work() -> None:
            for number in range(20):
                new = f"005{number:03}"
                container[new] = left[new] = "new"
                key, value = container.popitem()
                assert (key, value) == (min(left), left.pop(key))
                assert next(iter(container.prefix("005"))) == min(
                    key for key in left if key.startswith("005")
                )

        # A maker may have sorted what it writes; not what is there.
        assert calls_of(work, of=sorted) <= 1 + 20
        assert dict(container.items()) == left
        assert list(container) == sorted(left)
    assert dict(container.items()) == left


def test_len_in_a_transaction_does_not_count_its_changes(
    storage: Storage, container: Container
) -> None:
    def cost() -> int:
        return min(calls_of(lambda: storage.get_container_len("c")) for _ in range(3))

    with storage.transaction():
        container["new"] = "x"
        few = cost()
        for number in range(300):
            container[f"new{number}"] = "x"
            del container[f"{number:03}"]
            assert len(container) == 301
        assert cost() <= few


def test_a_savepoint_that_is_taken_back_leaves_length_and_order(
    storage: Storage, container: Container
) -> None:
    with storage.transaction():
        container["new"] = "x"
        assert (len(container), next(iter(container))) == (301, "000")
        with pytest.raises(ZeroDivisionError), storage.transaction():
            container.popitem()
            container["\0"] = "x"
            assert (len(container), next(iter(container))) == (301, "\0")
            raise ZeroDivisionError
        assert (len(container), list(container)) == (301, [*MANY, "new"])
        container.update({f"more{number}": "x" for number in range(50)})
        container.clear()
        assert (len(container), list(container)) == (0, [])
        container["again"] = "x"
        assert (len(container), list(container)) == (1, ["again"])


def test_an_iterator_misses_nothing_that_stays(storage: Storage, container: Container) -> None:
    assert isinstance(storage, Scans)
    with storage.transaction():
        container["new"] = "x"
        keys, some = storage.get_container_keys("c"), storage.scan("c", stop="003")
        assert (next(keys), next(some)) == ("000", ("000", "x"))
        del container["000"]
        container["0000"] = "x"
        assert next(iter(container)) == "0000"
        # Of its own writes a transaction may see some, or none.
        assert [key for key in keys if key != "0000"] == [*MANY, "new"][1:]
        assert [pair for pair in some if pair[0] != "0000"] == [("001", "x"), ("002", "x")]
