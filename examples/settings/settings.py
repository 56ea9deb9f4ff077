"""The settings of a service as classes: what may be in the file, and what holds if it is not."""

from __future__ import annotations

from typing import Annotated, Literal

import objstore
from objstore import Dict, Directory, List

Port = Annotated[int, {"minimum": 1, "maximum": 65535}]
Positive = Annotated[float, {"exclusiveMinimum": 0}]


class Server(Dict):
    """Where the service listens."""

    host: str = "127.0.0.1"
    port: Port = 8080
    timeout: Positive = 10
    workers: int = 4


class Mail(Dict):
    """How letters are sent."""

    sender: str
    per_minute: Positive = 20


class Log(Dict):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Cache(Dict):
    """How long pages are kept, in seconds."""

    keep: Positive = 300


class Settings(Dict):
    """The whole file; a section with a default may be missing in it."""

    admins: List[str]
    server: Server = Server()
    mail: Mail
    log: Log = Log()
    cache: Cache = Cache()


class Config(Directory):
    """The folder of the settings."""

    settings: Settings = objstore.file("settings.yaml")
