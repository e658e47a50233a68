"""How a system's source is named in the environment, and what is simulated where it is not; all as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sync_pipeline.errors import SettingsError
from sync_pipeline.settings import TARGET, Settings, Variable

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class SimulatedApi:
    """A simulated API: a module that runs as a process of its own.

    Attributes:
        announced: the key of each variable in the line of JSON that the process prints when it listens.
        scales: whether its size can be chosen.
    """

    title: str
    module: str
    announced: Mapping[str, str]
    scales: bool = True


@dataclass(frozen=True)
class SimulatedTables:
    """Tables of another program; `create` fills them at a scale, once, and returns whether it did."""

    title: str
    create: Callable[[psycopg.Connection[Any], float], bool]


@dataclass(frozen=True)
class GuidedEdit:
    """The field that the demo's guided steps edit on both sides: text that no other system needs."""

    entity: str
    column: str


@dataclass(frozen=True)
class SourceSettings:
    """The variables of a system's source; the first one names the source.

    Attributes:
        variables: a source is named by all of them that are not optional.
        api: simulates a source that is an API.
        database: simulates a source that is a database.
        product: the program that has used the target's tables before; simulated in an embedded target.
        guided_edit: what the demo's guided steps edit, of a source that is a database.
    """

    variables: tuple[Variable, ...] = ()
    api: SimulatedApi | None = None
    database: SimulatedTables | None = None
    product: SimulatedTables | None = None
    guided_edit: GuidedEdit | None = None

    @property
    def variable(self) -> str:
        """The variable that names the source."""
        return self.variables[0].name

    @property
    def required(self) -> tuple[Variable, ...]:
        """The variables without which it cannot be read."""
        return tuple(v for v in self.variables if not v.optional)

    def missing(self, settings: Settings) -> str | None:
        """The variable that would name the source; None where it is set, or there is none."""
        return self.variable if self.variables and not settings.text(self.variables[0]) else None

    def check(self, settings: Settings) -> None:
        """Refuse values that cannot be used, and a source that is named by half of its variables.

        Raises:
            SettingsError: the message names the variable.
        """
        unset = [v.name for v in self.required if not settings.text(v)]
        if unset and len(unset) < len(self.required):
            names = _listed([v.name for v in self.required])
            raise SettingsError(f"{unset[0]} is not set; {names} go together")
        for variable in self.variables:
            value = settings.text(variable)
            if variable.default:
                settings.number(variable)
            elif value:
                self._check_value(settings, variable, value)
            if value and unset and variable.optional and variable.secret:
                raise SettingsError(f"{unset[0]} is not set, but {variable.name} is")

    def _check_value(self, settings: Settings, variable: Variable, value: str) -> None:
        urls = ("http://", "https://")
        if variable.example.startswith(urls) and not value.startswith(urls):
            raise SettingsError(f"{variable.name} is not a URL; it looks like {variable.example}")
        if value == settings.target_dsn:
            raise SettingsError(
                f"{variable.name} and {TARGET.name} name the same database, whose tables would be synced with"
                " themselves"
            )

    def require(self, settings: Settings) -> dict[str, str]:
        """The values of the required variables, by name.

        Raises:
            SettingsError: they are not set, and no simulated source was started for this process.
        """
        self.check(settings)
        values = {v.name: settings.text(v) for v in self.required}
        if all(values.values()):
            return {name: value for name, value in values.items() if value}
        are, them = ("is", "it") if len(values) == 1 else ("are", "them")
        raise SettingsError(
            f"{_listed(list(values))} {are} not set and no simulated source was started here; set {them}, or"
            " start through `sync-pipeline up`, `demo` or `sync`"
        )

    def check_reverse(self, settings: Settings, system: str) -> None:
        """Refuse to merge what the embedded target holds into a source database that somebody named.

        Raises:
            SettingsError: the target is sandboxed and the source database is not.
        """
        named = not self.missing(settings) and system not in settings.sandboxed
        if "target" in settings.sandboxed and named:
            raise SettingsError(
                f"{TARGET.name} is not set, and what the embedded target holds may be invented: it is not"
                f" written into the database that {self.variable} names; set {TARGET.name} too"
            )


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
