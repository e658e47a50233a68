"""Streaming parser of a menu's JSON: holds one path of nodes in memory, however large the menu is.

The keys of an object may come in any order, so a node is complete only after everything below it. Nodes
are numbered as they begin and emitted as they end.
"""

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import ijson

from sync_pipeline.errors import SourceBroken, SourceRefused
from sync_pipeline.sources.http.error_text import truncate
from sync_pipeline.sources.http.retry import InvalidResponse
from sync_pipeline.systems.integrations.menu.fields import Node, NodeReader
from sync_pipeline.systems.integrations.menu.formats import Kind, MenuRules

Event = tuple[str, Any]

_STARTS = ("start_map", "start_array")
_ENDS = ("end_map", "end_array")
_REPORT = frozenset({"succeed", "errors"})


class NotAMenu(SourceBroken):
    """The response is valid JSON, but not a menu."""


class MenuParser:
    """Parses one menu.

    Args:
        rules: the format.
        emit: called with each node, in the order in which they end.
        redact: removes secrets from what messages quote.
    """

    def __init__(
        self, rules: MenuRules, emit: Callable[[Node], None], redact: Callable[[str], str] = str
    ) -> None:
        self._rules = rules
        self._redact = redact
        self._reader = NodeReader(rules)
        self._emit = emit
        self._events: Iterator[Event] = iter(())
        self._found: set[str] = set()
        self._report: dict[str, Any] = {}
        self._number = 0

    def read(self, file: BinaryIO) -> None:
        """Read a menu to its end.

        Raises:
            NotAMenu: it has none of the lists that every menu has, or is nested too deeply.
            SourceRefused: it reports that it did not succeed.
            InvalidResponse: it is cut short or is not JSON.
        """
        self._events = iter(ijson.basic_parse(file))
        try:
            start = next(self._events)
            if start[0] == "start_map":
                self._document()
            else:
                self._skip(start)
            # Anything after the document is an error, which the parser raises only when read on.
            next(self._events, None)
        except (ijson.JSONError, StopIteration) as error:
            reason = truncate(self._redact(str(error))) or "an empty body"
            raise InvalidResponse(f"a menu that is not JSON to its end: {reason}") from None
        except RecursionError:
            raise NotAMenu(f"{self._rules.name} sent objects nested too deeply.") from None
        self._check()

    def _check(self) -> None:
        if self._report.get("succeed") is False:
            raise SourceRefused(
                f"{self._rules.name} reports that it could not make the menu: "
                f"“{truncate(self._redact(str(self._report.get('errors') or 'no reason')))}”. "
                "Check brand, establishment, order channel and order type of the configuration."
            )
        if not self._found.intersection(self._rules.complete):
            raise NotAMenu(
                f"{self._rules.name} sent JSON that is not a menu: it has no list "
                f"{' or '.join(f'“{key}”' for key in self._rules.complete)}. Check the URL and the "
                "establishment; if the point of sale has changed its format, change menu/formats.py too."
            )

    def _document(self) -> None:
        for key, event in self._members():
            if key == self._rules.wrapper and event[0] == "start_map":
                self._document()
            elif key in self._rules.lists and event[0] in _STARTS:
                self._found.add(key)
                self._nodes(event, self._rules.lists[key])
            elif key in _REPORT:
                self._report[key] = self._value(event)
            else:
                self._skip(event)

    def _nodes(self, event: Event, kind: Kind | None) -> None:
        """Nodes in a list, or in an object by id."""
        if event[0] == "start_map":
            for key, member in self._members():
                self._member(member, kind, key)
            return
        while (member := next(self._events))[0] != "end_array":
            self._member(member, kind)

    def _member(self, event: Event, kind: Kind | None, key: str | None = None) -> None:
        if event[0] == "start_map":
            self._node(kind, key)
        else:
            self._skip(event)

    def _node(self, kind: Kind | None, key: str | None) -> None:
        self._number += 1
        number = self._number
        raw: dict[str, Any] = {} if key is None else {"id": key}
        for name, event in self._members():
            if kind is None and name == self._rules.nested and event[0] == "start_array":
                self._nodes(event, kind)
            elif name in self._reader.keys:
                raw[name] = self._value(event)
            else:
                self._skip(event)
        self._emit(self._reader.read(raw, kind, number, self._number))

    def _members(self) -> Iterator[tuple[str, Event]]:
        """Keys of an object, each with the first event of its value; the caller must consume the value."""
        for event, key in self._events:
            if event == "end_map":
                return
            yield key, next(self._events)

    def _value(self, event: Event) -> Any:
        match event[0]:
            case "start_map":
                return {key: self._value(begin) for key, begin in self._members()}
            case "start_array":
                values: list[Any] = []
                while (begin := next(self._events))[0] != "end_array":
                    values.append(self._value(begin))
                return values
            case _:
                return event[1]

    def _skip(self, event: Event) -> None:
        depth = int(event[0] in _STARTS)
        while depth:
            kind = next(self._events)[0]
            depth += (kind in _STARTS) - (kind in _ENDS)
