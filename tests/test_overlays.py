"""What a scope changed, and what is known of it from one commit to the next."""

from __future__ import annotations

import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import objstore
from objstore._overlays import Overlays
from objstore.documents import Overlay
from objstore.values import MISSING

from .counting import calls_of

values = st.sampled_from([MISSING, 1, 2])
units = st.sampled_from(["/a", "/b", "/b/c", "/b/d", "/b/d/e", "/f/g"])
changes = st.dictionaries(units, st.builds(Overlay, values, values))


@given(st.lists(st.tuples(changes, st.booleans())))
def test_what_is_known_follows_the_changes(steps: list[tuple[dict[str, Overlay], bool]]) -> None:
    by_unit: dict[str, Overlay] = {}
    followed = Overlays(by_unit)
    for made, anew in steps:
        by_unit = {} if anew else by_unit
        by_unit = {**by_unit, **made}
        before = vars(followed).copy()
        now, whole = followed.updated(by_unit), Overlays(by_unit)
        assert vars(now) == vars(whole)
        assert vars(followed) == before
        followed = now


def test_what_a_scope_has_changed_already_costs_the_next_nothing(tmp_path: Path) -> None:
    with objstore.open(tmp_path) as store:
        store["counter"] = {"n": 0}
        scope = store.scope("trial")
        counter = scope["counter"]
        numbers = itertools.count(1)

        def work() -> None:
            counter["n"] = number = next(numbers)
            assert scope["counter"]["n"] == number

        def fewest() -> int:
            return min(calls_of(work) for _ in range(5))

        before = fewest()
        with scope.transaction():
            for number in range(300):
                scope[f"more{number}"] = {"n": number}
        assert fewest() < 2 * before
        assert store.read_at("/counter", store.head) == {"n": 0}
