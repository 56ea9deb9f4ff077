"""What an event log knows of types: schemas, versions, who validates and who consumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar, cast, runtime_checkable

import orjson

from . import event as events
from . import validation
from ._plain import require_plain
from .errors import SchemaError, ValidationError
from .event import Event
from .values import JSON

Upcast = TypeVar("Upcast", bound=Callable[[Any], Any])


@runtime_checkable
class Validator(Protocol):
    """Refuses events."""

    def validate(self, event: Event, /) -> object:
        """Raise an error, such as ValueError, where the event must not be stored."""
        ...


@runtime_checkable
class Consumer(Protocol):
    """Does something when an event has been appended."""

    def consume(self, event: Event, /) -> object:
        """Called when the event is durable. An error of it goes to who appended."""
        ...


class Step(NamedTuple):
    """From one version to the next."""

    convert: Callable[[Any], Any]
    to: str


class Types:
    """To be filled before it is used by several threads."""

    def __init__(self) -> None:
        self._schemas: Final[dict[tuple[str, int | None], validation.Validator]] = {}
        """By type and version; None for the newest, whichever that comes to be."""
        self._steps: Final[dict[tuple[str, int], Step]] = {}
        self._versions: Final[dict[str, int]] = {}
        self._validators: Final[list[tuple[Validator, tuple[str, ...]]]] = []
        self._consumers: Final[list[tuple[Consumer, tuple[str, ...]]]] = []

    def register(self, one: Validator | Consumer, types: tuple[str, ...]) -> None:
        for name in types:
            events.check_text("type", name)
        # A class has the methods of its instances, and cannot be asked.
        validator = one if isinstance(one, Validator) and not isinstance(one, type) else None
        consumer = one if isinstance(one, Consumer) and not isinstance(one, type) else None
        if validator is not None:
            require_plain(validator.validate, "validate of a validator is")
        if consumer is not None:
            require_plain(consumer.consume, "consume of a consumer is")
        if validator is not None:
            self._validators.append((validator, types))
        if consumer is not None:
            self._consumers.append((consumer, types))
        if validator is None and consumer is None:
            kind = type(one).__name__
            raise TypeError(f"expected an object with a method validate or consume, not {kind}")

    def schema(self, type: str, schema: JSON | type[Any], version: int | None) -> None:
        events.check_text("type", type)
        if version is not None:
            events.check_version(version)
        model = getattr(schema, "model_json_schema", None)  # a pydantic model has one
        found = getattr(schema, "__schema__", schema) if model is None else model()
        if not isinstance(found, dict | bool):
            expected = "a JSON Schema or a class that has one"
            raise SchemaError(f"event {type!r}: expected {expected}, not {schema!r}")
        made = validation.Validator(cast("JSON", found), source=f"event {type}")
        if version is None:
            self._schemas.pop((type, self._version(type)), None)  # the last one said counts
        self._schemas[type, version] = made

    def upcaster(self, type: str, version: int, to: str | None) -> Callable[[Upcast], Upcast]:
        name = to or type
        for text in (type, name):
            events.check_text("type", text)
        if (type, events.check_version(version)) in self._steps:
            raise ValueError(f"event {type!r} of version {version} has an upcaster already")

        def keep(convert: Upcast) -> Upcast:
            require_plain(convert, "an upcaster is")
            self._steps[type, version] = Step(convert, name)
            # A type that has another name from then on has no version behind this one: what is
            # appended as that would never be upcast.
            self._versions[type] = max(version, self._version(type))
            self._versions[name] = max(version + 1, self._version(name))
            return convert

        return keep

    @property
    def has_upcasters(self) -> bool:
        return bool(self._steps)

    @property
    def versions(self) -> Mapping[str, int]:
        """The newest version of each type that has an upcaster; of others it is 1."""
        return self._versions

    def _version(self, type: str) -> int:
        return self._versions.get(type, 1)

    def upcast(self, event: Event) -> Event:
        """The event as the newest version of its type says it."""
        if not self._steps:
            return event
        while (step := self._steps.get((event.type, event.version))) is not None:
            data = step.convert(event.data)
            event = event.evolve(data=data, version=event.version + 1, type=step.to)
        return event

    @property
    def has_checks(self) -> bool:
        """Whether there is anything that ``validate`` may refuse."""
        return bool(self._schemas or self._validators)

    def validate(self, added: Sequence[Event]) -> None:
        """Raises ValidationError, and what validators raise."""
        for event in added:
            self._validate(event)

    def _validate(self, event: Event) -> None:
        type, version = event.type, event.version
        schema = self._schemas.get((type, version))
        if schema is None and version == self._version(type):
            schema = self._schemas.get((type, None))
        if schema is not None:
            self._require_fit(schema, event)
        for one, types in self._validators:
            if not types or event.type in types:
                one.validate(event)

    def _require_fit(self, schema: validation.Validator, event: Event) -> None:
        source = f"event {event.type}"
        if schema.failures(event.data, source):
            # It may be an Object: what it is stored as is what counts.
            failures = schema.failures(orjson.loads(events.dump(event)), source)
            if failures:
                raise ValidationError(failures)

    @property
    def has_consumers(self) -> bool:
        return bool(self._consumers)

    def consume(self, stored: Sequence[Event]) -> None:
        """Tell all consumers of all events, and then raise what the first to fail has raised."""
        failed: BaseException | None = None
        for event in stored:
            for one, types in self._consumers:
                if types and event.type not in types:
                    continue
                try:
                    one.consume(event)
                except Exception as error:  # noqa: BLE001 - it is raised when all were told
                    error.add_note(f"the event {event.uuid} was appended; its consumer failed")
                    failed = failed or error
        if failed is not None:
            raise failed
