"""The requests of a run: everything that is connected, or what its keys name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sync_pipeline.systems.meta_assets.api.client import ReadRequest
from sync_pipeline.systems.meta_assets.workspaces import Connected, Holder

FindHolders = Callable[[Sequence[str]], list[Holder]]


@dataclass
class ReadPlan:
    """The requests of a run, those of a workspace adjacent.

    Attributes:
        requests: in their order.
        expected: workspace and number of requested numbers, for which the whole workspace is read.
        problems: keys that cannot be requested.
    """

    requests: list[ReadRequest] = field(default_factory=list)
    expected: set[tuple[str, str]] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    @property
    def workspaces(self) -> int:
        """Number of workspaces."""
        return len({request.workspace_id for request in self.requests})


def every_workspace(connected: Connected) -> ReadPlan:
    """Everything that is connected."""
    return ReadPlan(
        [request for workspace in connected.accounts for request in _all_of(connected, workspace)]
    )


def by_keys(connected: Connected, keys: Iterable[str], find_holders: FindHolders) -> ReadPlan:
    """Single workspaces and numbers.

    Args:
        connected: what is known about workspaces.
        keys: each the id of a workspace, of a phone number, or both as `workspace:number`. A number
            that its workspace is not known to have makes the whole workspace be read.
        find_holders: finds the workspaces that are known to have some numbers.
    """
    parsed = [_Key.parse(key) for key in dict.fromkeys(keys)]
    phones = sorted({key.phone_id for key in parsed if key.phone_id})
    plan = _PlanBuilder(connected, find_holders(phones) if phones else [])
    for key in parsed:
        plan.add(key)
    return plan.build()


class _PlanBuilder:
    """Collects the requests of keys."""

    def __init__(self, connected: Connected, holders: Sequence[Holder]) -> None:
        self._connected = connected
        self._known: dict[str, dict[str, Holder]] = {}
        for holder in holders:
            self._known.setdefault(holder.phone_id, {})[holder.workspace_id] = holder
        self._whole: set[str] = set()
        self._single: dict[tuple[str, str], Holder] = {}
        self._expected: set[tuple[str, str]] = set()
        self._problems: list[str] = []

    def add(self, key: _Key) -> None:
        holders = self._known.get(key.phone_id, {})
        if key.workspace_id and key.workspace_id not in holders:
            self._add_workspace(key)
            return
        found = [holders[key.workspace_id]] if key.workspace_id else list(holders.values())
        if not found:
            self._problems.append(_unknown(key))
        self._single |= {(h.workspace_id, h.phone_id): h for h in found}

    def _add_workspace(self, key: _Key) -> None:
        if key.workspace_id not in self._connected.accounts:
            self._problems.append(_unconnected(key))
            return
        self._whole.add(key.workspace_id)
        if key.phone_id:
            self._expected.add((key.workspace_id, key.phone_id))

    def build(self) -> ReadPlan:
        requests = [request for w in sorted(self._whole) for request in _all_of(self._connected, w)]
        requests += [
            ReadRequest(workspace, self._connected.token(workspace), holder.waba_id, phone)
            for (workspace, phone), holder in sorted(self._single.items(), key=lambda item: item[0])
            if workspace not in self._whole
        ]
        return ReadPlan(requests, self._expected, self._problems)


@dataclass(frozen=True)
class _Key:
    text: str
    workspace_id: str
    phone_id: str

    @classmethod
    def parse(cls, text: str) -> _Key:
        first, _, second = text.strip().partition(":")
        if workspace := _uuid(first):
            return cls(text, workspace, second.strip())
        return cls(text, "", text.strip())


def _uuid(text: str) -> str:
    if text.isdecimal():  # UUID() accepts 32 digits
        return ""
    try:
        return str(UUID(text))
    except ValueError:
        return ""


def _all_of(connected: Connected, workspace: str) -> list[ReadRequest]:
    token = connected.token(workspace)
    return [ReadRequest(workspace, token, waba) for waba in connected.accounts[workspace]]


def _unconnected(key: _Key) -> str:
    return (
        f"phone_numbers {key.text}: workspace {key.workspace_id} has no account in"
        " meta_whatsapp_connections"
    )


def _unknown(key: _Key) -> str:
    return (
        f"phone_numbers {key.text}: no workspace is known to have this number; name it as"
        f" WORKSPACE:{key.phone_id}, or resync the workspace"
    )
