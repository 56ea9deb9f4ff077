"""Edits of a YAML file that replace the spans of its text that changed, and nothing else.

The tree of the text is walked together with the old and the new contents. An anchor means, from its
place on, what its node holds after the change; an alias stays while that is what its place is to
hold, and is written out otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from .._align import align
from ..values import JSON, MISSING, is_array, is_object, same
from ._text import newline_of
from ._yaml_entries import BlockEntries, Entries, FlowEntries
from ._yaml_like import entry_like, style_of
from ._yaml_place import put
from ._yaml_splices import NotBySpanError, Splices
from ._yaml_tree import Document, Entry, Node, header_of


def edited_texts(text: str, document: Document, old: JSON, new: JSON) -> Iterator[str]:
    """The text, whose contents are ``old``, changed so that they are ``new``.

    ``document`` is the tree of ``with_end(text)``. Gives texts to be tried, the best one first; the
    caller finds out which has the contents ``new``. Raises NotBySpanError where the spans to
    replace cannot be told.
    """
    ended = with_end(text)
    splices = Splices(ended)
    _Walk(splices, document).document(old, new)
    if ended != text and splices.touches(len(ended)):
        _fix_last_scalar(splices, document)
    result = splices.result()
    if ended != text:
        yield result.removesuffix(splices.newline)
    yield result


def with_end(text: str) -> str:
    """The text with a line break behind its last line."""
    return text if not text or text.endswith("\n") else text + newline_of(text)


def _fix_last_scalar(splices: Splices, document: Document) -> None:
    """A block scalar at the end of a text without a line break there must not gain one."""
    for node in list(document.nodes())[-1:]:
        is_last = splices.next_line(node.end) == len(splices.text)
        if is_last and node.style in ("|", ">") and not splices.touches(node.start):
            old = header_of(splices.text, node).indicators
            start = node.start + 1
            splices.replace(start, start + len(old), old.strip("+-") + "-")


class _Walk:
    def __init__(self, splices: Splices, document: Document) -> None:
        self._splices = splices
        self._document = document
        self._style = style_of(document)
        self._anchors: dict[str, Any] = {}

    def document(self, old: JSON, new: JSON) -> None:
        root = self._document.root
        if root is None:
            lines = self._style.document(new)
            end = self._document.end
            self._splices.replace(end, end, self._splices.lines([*lines, ""]))
        else:
            self._change(root, old, new)

    def _change(self, node: Node, old: Any, new: Any) -> None:
        """Make the node hold ``new`` instead of ``old``."""
        if old is new and not node.linked:
            return
        if node.anchor:
            self._anchors[node.anchor] = new
        if node.kind == "alias":
            old = self._anchors.get(node.text, MISSING)
        if node.kind == "map" and is_object(old) and is_object(new) and new and node.entries:
            self._change_mapping(node, old, new)
        elif node.kind == "seq" and is_array(old) and is_array(new) and new and node.entries:
            self._change_sequence(node, old, new)
        elif not same(old, new):
            put(self._splices, self._style, node, new)

    def _change_sequence(self, node: Node, old: list[Any], new: list[Any]) -> None:
        if len(old) != len(node.entries):
            raise NotBySpanError
        before = self._splices.checkpoint(), dict(self._anchors)
        plan = _Plan()
        for item, index in zip(new, align(old, new), strict=True):
            if index is None:
                plan.add(None, item)
            else:
                plan.keep(node.entries[index])
                self._change(node.entries[index].node, old[index], item)
        self._resize(node, new, plan, before)

    def _change_mapping(self, node: Node, old: dict[str, Any], new: dict[str, Any]) -> None:
        before = self._splices.checkpoint(), dict(self._anchors)
        own, merge = self._keys(node, old)
        for key, entry in own.items():
            if key in new:
                self._change(entry.node, old[key], new[key])
        merged = self._merged(merge, own, old)
        if merged is None or merged.keys() - new.keys():
            merge, merged = None, {}  # a key that is merged in can be removed in no other way
        plan = _Plan()
        if merge:
            plan.keep(merge)
        for key, value in new.items():
            if key in own:
                plan.keep(own[key])
            elif not same(merged.get(key, MISSING), value):
                plan.add(key, value)
        self._resize(node, new, plan, before)

    def _keys(self, node: Node, old: dict[str, Any]) -> tuple[dict[str, Entry], Entry | None]:
        """The entries by key, and the one that merges other mappings in."""
        own: dict[str, Entry] = {}
        merge: Entry | None = None
        for entry in node.entries:
            key = entry.key
            if key is None or key.kind != "scalar":
                raise NotBySpanError
            if key.anchor:
                self._anchors[key.anchor] = key.text
            if key.text == "<<" and not key.style:
                merge = entry
            else:
                own[key.text] = entry
        if not own.keys() <= old.keys():
            raise NotBySpanError
        return own, merge

    def _merged(
        self, merge: Entry | None, own: dict[str, Entry], old: dict[str, Any]
    ) -> dict[str, Any] | None:
        """What a mapping gets from those merged into it, after the change.

        None where one of them is gone. Mappings written out behind ``<<`` are what they were.
        """
        if merge is None or not merge.node.linked:
            return {key: value for key, value in old.items() if key not in own}
        source = merge.node
        nodes = [entry.node for entry in source.entries] if source.kind == "seq" else [source]
        merged: dict[str, Any] = {}
        for node in reversed(nodes):
            if node.kind != "alias":
                raise NotBySpanError
            part = self._anchors.get(node.text)
            if not is_object(part):
                return None
            merged.update(part)
        return merged

    def _resize(
        self, node: Node, new: JSON, plan: _Plan, before: tuple[int, dict[str, Any]]
    ) -> None:
        """Add and remove entries; or write the whole node anew, after all."""
        gone = [entry for entry in node.entries if entry not in plan.kept]
        if not plan.kept or _needs_rewrite(node, gone, plan):
            self._splices.rewind(before[0])
            self._anchors = before[1]
            put(self._splices, self._style, node, new)
            return
        entries: Entries = (FlowEntries if node.style else BlockEntries)(self._splices, node)
        first = next(entry for entry in node.entries if entry in plan.kept)
        for after, group in groupby(plan.added, key=lambda added: added.after):
            texts = [
                self._splices.lines(entry_like(self._style, node, added.key, added.value))
                for added in group
            ]
            if after is None:
                entries.add_before(first, texts)
            else:
                entries.add_after(after, texts)
        if gone:
            entries.remove(gone)


def _needs_rewrite(node: Node, gone: Sequence[Entry], plan: _Plan) -> bool:
    """Whether a flow collection is better written anew, which is but a line as a rule."""
    pair = node.style == ":" and bool(gone or plan.added)
    return pair or (node.style != "" and bool(gone and plan.added))


class _Added(NamedTuple):
    after: Entry | None
    """The entry that stays and comes before it; None for the first."""
    key: str | None
    value: JSON


class _Plan:
    """Which entries of a collection stay and what is added where."""

    def __init__(self) -> None:
        self.kept: set[Entry] = set()
        self.added: list[_Added] = []
        self._last: Entry | None = None

    def keep(self, entry: Entry) -> None:
        self.kept.add(entry)
        self._last = entry

    def add(self, key: str | None, value: JSON) -> None:
        self.added.append(_Added(self._last, key, value))
