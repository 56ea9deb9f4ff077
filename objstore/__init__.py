"""objstore: typed, validated, transactional Python objects over directories of JSON and YAML files.

import objstore
from objstore import Dict, Directory

class Person(Dict):
    name: str
    born: int

class Library(Directory):
    people: Directory[Person]       # people/<key>.json

with objstore.open("data/", Library) as store:
    store.root.people["ada"] = {"name": "Ada", "born": 1815}
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from . import schema
from ._news import Invalid, Mended
from ._open import open
from .dicts import Dict
from .directories import Directory
from .documents import Commit
from .errors import (
    AttributeNotFoundError,
    BackingError,
    BusyError,
    CapacityExceeded,
    ClosedError,
    CommitNotFoundError,
    CommitNumberError,
    ConflictError,
    ContainerNotFoundError,
    CorruptionError,
    DefinedKeyError,
    DetachedError,
    DuplicateContainerError,
    DuplicateEventError,
    DuplicateStorageError,
    EventNotFoundError,
    Failure,
    FormatError,
    HistoryGone,
    KeyNameError,
    KeyNotFoundError,
    LayoutError,
    ObjstoreError,
    OutsideError,
    PatchError,
    PathError,
    ReadOnlyError,
    SchemaError,
    SchemaNotFoundError,
    ScopeNotFoundError,
    SlowConsumerError,
    SourceNotFoundError,
    StorageError,
    StorageNotFoundError,
    StoreNotFoundError,
    TransactionError,
    TransactionNotFoundError,
    TransactionTimeoutError,
    UnknownSchemeError,
    ValidationError,
    VerificationError,
)
from .joint import Result
from .lists import List
from .objects import Object
from .retention import Retention
from .schema import file
from .storage import Storage
from .store import Store
from .transaction import Transaction
from .values import MISSING

if TYPE_CHECKING:
    from .backings.filesystem.repairing import repair
    from .backings.filesystem.values.valuefile import Value, ValueFile, ValueFileInfo
    from .backings.lmdb import LmdbStorage
    from .backings.memory_depot import MemoryDepot
    from .backings.memory_storage import MemoryStorage
    from .backings.sqlite import SqliteStorage
    from .backings.storage_depot import StorageDepot
    from .backings.valuelog import ValueLogStorage
    from .containers import Container, Containers
    from .depot import Blob, BlobWriter, Depot, Identifier, ObjectStateT
    from .events import Event, EventLog, RecordKeeper

__all__ = [
    "AttributeNotFoundError",
    "BackingError",
    "Blob",
    "BlobWriter",
    "BusyError",
    "CapacityExceeded",
    "ClosedError",
    "Commit",
    "CommitNotFoundError",
    "CommitNumberError",
    "ConflictError",
    "Container",
    "ContainerNotFoundError",
    "Containers",
    "CorruptionError",
    "DefinedKeyError",
    "Depot",
    "DetachedError",
    "Dict",
    "Directory",
    "DuplicateContainerError",
    "DuplicateEventError",
    "DuplicateStorageError",
    "Event",
    "EventLog",
    "EventNotFoundError",
    "Failure",
    "FormatError",
    "HistoryGone",
    "Identifier",
    "Invalid",
    "KeyNameError",
    "KeyNotFoundError",
    "LayoutError",
    "List",
    "LmdbStorage",
    "MISSING",
    "MemoryDepot",
    "MemoryStorage",
    "Mended",
    "Object",
    "ObjectStateT",
    "ObjstoreError",
    "OutsideError",
    "PatchError",
    "PathError",
    "ReadOnlyError",
    "RecordKeeper",
    "Result",
    "Retention",
    "SchemaError",
    "SchemaNotFoundError",
    "ScopeNotFoundError",
    "SlowConsumerError",
    "SourceNotFoundError",
    "SqliteStorage",
    "Storage",
    "StorageDepot",
    "StorageError",
    "StorageNotFoundError",
    "Store",
    "StoreNotFoundError",
    "Transaction",
    "TransactionError",
    "TransactionNotFoundError",
    "TransactionTimeoutError",
    "UnknownSchemeError",
    "ValidationError",
    "Value",
    "ValueFile",
    "ValueFileInfo",
    "ValueLogStorage",
    "VerificationError",
    "file",
    "open",
    "repair",
    "schema",
]

# Loaded when first asked for: a program need not wait for what it does not use.
_LATER: Final = {
    "Blob": ".depot",
    "BlobWriter": ".depot",
    "Container": ".containers",
    "Containers": ".containers",
    "Depot": ".depot",
    "Event": ".events",
    "EventLog": ".events",
    "Identifier": ".depot",
    "LmdbStorage": ".backings.lmdb",
    "MemoryDepot": ".backings.memory_depot",
    "MemoryStorage": ".backings.memory_storage",
    "ObjectStateT": ".depot",
    "RecordKeeper": ".events",
    "SqliteStorage": ".backings.sqlite",
    "StorageDepot": ".backings.storage_depot",
    "repair": ".backings.filesystem.repairing",
    "Value": ".backings.filesystem.values.valuefile",
    "ValueFile": ".backings.filesystem.values.valuefile",
    "ValueFileInfo": ".backings.filesystem.values.valuefile",
    "ValueLogStorage": ".backings.valuelog",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name], __name__), name)
