"""Events: what happened, in order. The names that programs use."""

from __future__ import annotations

from ._event_types import Consumer, Validator
from .event import Event, Integrity
from .eventlog import EventLog
from .keeper import RecordKeeper
from .projection import Projection
from .sealing import EMPTY, Head, PublicKey, Signer
from .subscription import Subscription

__all__ = [
    "Consumer",
    "EMPTY",
    "Event",
    "EventLog",
    "Head",
    "Integrity",
    "Projection",
    "PublicKey",
    "RecordKeeper",
    "Signer",
    "Subscription",
    "Validator",
]
