"""Concurrent edits: changes by the app's users between two pages of a client's scan."""

from sync_pipeline.simulators.bubble.options import EditKind, Options
from sync_pipeline.simulators.bubble.store import Store
from sync_pipeline.simulators.seeded_random import seeded_random

_NOT_COPIED = ("_id", "Created Date", "Modified Date", "Created By")


class ConcurrentEdits:
    """Changes a few things of a type before each of its pages is answered."""

    def __init__(self, store: Store, options: Options) -> None:
        self._store = store
        self._options = options
        self._restart()

    def before_page(self, kind: str) -> None:
        """Make the edits that the options ask for."""
        if self._seed != self._options.edits_seed:
            self._restart()
        for _ in range(self._options.edits_per_page):
            kinds = self._options.edit_kinds
            self._edit(kind, kinds[self._done % len(kinds)])
            self._done += 1

    def _restart(self) -> None:
        self._seed = self._options.edits_seed
        self._random = seeded_random(self._seed, "edits")
        self._done = 0

    def _edit(self, kind: str, edit: EditKind) -> None:
        uids = self._store.ids(kind)
        if not uids:
            return
        uid = self._random.choice(uids)
        match edit:
            case "modify":
                values = dict.fromkeys(
                    self._text_field(kind), f"edited while reading, {self._done}"
                )
                self._store.patch(kind, uid, values, origin="reading")
            case "delete":
                self._store.delete(kind, uid, origin="reading")
            case "create":
                values = self._store.get(kind, uid)
                copied = {k: v for k, v in values.items() if k not in _NOT_COPIED}
                self._store.create(kind, copied, origin="reading")

    def _text_field(self, kind: str) -> list[str]:
        """One of the type's text fields; a thing without any is only touched."""
        fields = self._store.schema(kind).visible()
        texts = [field.stored for field in fields if field.kind == "text" and not field.built_in]
        return [self._random.choice(texts)] if texts else []
