"""What Objects do that costs the same however much is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.counting import calls_of

from .stores import Opener, reopen

__all__ = ["reopen"]


def test_06_len_and_bool_do_not_go_over_the_keys(reopen: Opener) -> None:
    store = reopen(None)
    store["few"], store["many"] = {}, {f"key{number}": number for number in range(300)}

    def cost(of: str, ask: Callable[[Any], Any]) -> int:
        asked = store[of]
        return min(calls_of(lambda: ask(asked)) for _ in range(3))

    assert (len(store["few"]), len(store["many"])) == (0, 300)
    assert (bool(store["few"]), bool(store["many"])) == (False, True)
    for ask in (len, bool):
        assert cost("many", ask) == cost("few", ask)
