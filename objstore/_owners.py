"""Whose a transaction is."""

from __future__ import annotations

import sys
import threading
from typing import TypeAlias

from .errors import TransactionError

Owner: TypeAlias = tuple[int, object]


def owner() -> Owner:
    """The thread and the asyncio task that run now.

    Tasks start with a copy of their creator's context, and threads may be given one; a transaction
    belongs to its creator alone.
    """
    asyncio = sys.modules.get("asyncio")  # no task runs where nobody imported it
    loop = asyncio._get_running_loop() if asyncio is not None else None
    task = asyncio.current_task(loop) if asyncio is not None and loop is not None else None
    return threading.get_ident(), task


def not_its_owner() -> TransactionError:
    """The error for who leaves a transaction that another has begun."""
    return TransactionError(
        "this transaction was begun by another thread or task, and only that one can commit it"
    )
