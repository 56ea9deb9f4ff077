"""What the demo keeps beside the files: an event trail, and an image."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from html import escape
from pathlib import Path

import objstore
from objstore import Store

from ..report import fact, line, section
from .features import CanIUse

_ROW = 24


def keeping_more(folder: Path, names: list[str]) -> None:
    """Events, blobs and containers belong to the store, and are in none of its files."""
    section("9. Events, blobs and containers lie beside the files")
    with objstore.open(folder, CanIUse) as store:
        fact("commits told as events", str(store.follow_commits()))
        image = store.depot.put(chart(store, names), meta={"type": "image/svg+xml"})
        store.events.append("chart-drawn", {"image": store.depot.link(image), "of": names})
        store.containers["charts"][names[0]] = {"image": store.depot.link(image)}
    with objstore.open(folder, CanIUse) as store:
        for event in store.events:
            about = event.data.get("units") or event.data.get("of")
            line(f"{event.type:<14} {', '.join(about)}")
        head = store.events.verify()
        fact("verified", f"{head.position} events, up to {head.hash[:16]}")
        with store.depot.open(image) as file:
            drawn = ET.fromstring(file.read())  # noqa: S314 - it is our own
        fact("image read back", [text.text or "" for text in drawn.iter() if text.text])
        fact("container, by name and key", str(store.containers["charts"][names[0]]))


def chart(store: Store[CanIUse], names: list[str]) -> bytes:
    """The features' shares of browser versions, as bars of an SVG image."""
    bars = "".join(
        f'<rect y="{row * _ROW}" width="{store.root[name].share * 200:.0f}" height="20"/>'
        f'<text x="210" y="{row * _ROW + 15}">{escape(name)}</text>'
        for row, name in enumerate(names)
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg">{bars}</svg>'.encode()
