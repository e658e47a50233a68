"""The customers' accounts: their numbers, their tokens, and edits of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from threading import RLock
from typing import Any

from sync_pipeline.simulators.meta_assets import errors
from sync_pipeline.simulators.meta_assets.credentials import PHONES, SYSTEM_TOKEN, TOKENS
from sync_pipeline.simulators.seeded_random import seeded_random

_NAMES = ("North Star Tours", "Harbour Clinic", "Willow Bakery", "Kite Repairs", "Slow Coffee")
_RATINGS = ("GREEN", "GREEN", "GREEN", "YELLOW", "RED", "UNKNOWN", "NA", None)


@dataclass
class Number:
    """A phone number.

    Attributes:
        waba: the account that it belongs to.
        place: its place in listings; never given twice.
        fields: the fields of the API, without those that have no value.
    """

    waba: str
    place: int
    fields: dict[str, Any]

    @property
    def id(self) -> str:
        """Digits, more of them than a double can hold."""
        return self.fields["id"]


@dataclass
class Token:
    """A token.

    Attributes:
        opens: the accounts that it may read; None: all.
        broken: why it is refused, a subcode of 190; 0: a reason without a code; None: it is valid.
        permitted: whether it may read and manage accounts at all.
    """

    opens: set[str] | None = None
    broken: int | None = None
    permitted: bool = True


@dataclass
class Accounts:
    """All accounts, and edits by customers and by Meta; thread-safe."""

    numbers: dict[str, Number] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    wabas: set[str] = field(default_factory=set)
    codes: dict[str, str] = field(default_factory=dict)
    _places: count[int] = field(default_factory=lambda: count(1))
    _lock: RLock = field(default_factory=RLock)

    @classmethod
    def sample(cls) -> Accounts:
        """The accounts of `credentials`, with invented names and numbers."""
        accounts = cls(tokens={SYSTEM_TOKEN: Token()})
        for waba, phones in PHONES.items():
            accounts.connect(waba, phones, TOKENS[waba])
        return accounts

    def connect(self, waba: str, phones: tuple[str, ...], token: str, code: str = "") -> None:
        """Connect an account with its numbers to a token, as at the end of an embedded sign-up.

        Args:
            waba: the account.
            phones: ids of its numbers.
            token: may read it.
            code: can be exchanged for the token, once.
        """
        with self._lock:
            self.wabas.add(waba)
            self.tokens.setdefault(token, Token(opens=set()))
            opened = self.tokens[token].opens
            if opened is not None:
                opened.add(waba)
            for phone in phones:
                self.add(waba, phone)
            if code:
                self.codes[code] = token

    def add(self, waba: str, phone: str, values: Mapping[str, Any] | None = None) -> None:
        """Add a number at the end of its account's listing."""
        with self._lock:
            place = next(self._places)
            random = seeded_random("number", phone)
            invented = {
                "display_phone_number": f"+44 7700 900{place % 1000:03d}",  # set aside for fiction
                "verified_name": random.choice(_NAMES),
                "quality_rating": random.choice(_RATINGS),
                "code_verification_status": "VERIFIED",
                "platform_type": "CLOUD_API",
                "throughput": {"level": "STANDARD"},
                "status": "CONNECTED",
                "name_status": "APPROVED",
                "account_mode": "LIVE",
                "messaging_limit_tier": random.choice(("TIER_250", "TIER_1K", "TIER_10K")),
                "is_official_business_account": False,
            }
            fields = {**invented, **(values or {}), "id": phone}
            present = {name: value for name, value in fields.items() if value is not None}
            self.numbers[phone] = Number(waba, place, present)

    def change(self, phone: str, **values: Any) -> None:
        """Set fields of a number; None removes the field."""
        with self._lock:
            fields = self.numbers[phone].fields
            for name, value in values.items():
                if value is None:
                    fields.pop(name, None)
                else:
                    fields[name] = value

    def rename(self, phone: str, name: str) -> None:
        """Set a new verified name."""
        self.change(phone, verified_name=name)

    def rate(self, phone: str, rating: str | None) -> None:
        """Set a new quality rating; None: Meta omits the field."""
        self.change(phone, quality_rating=rating)

    def remove(self, phone: str) -> None:
        """Remove a number from its account."""
        with self._lock:
            del self.numbers[phone]

    def break_token(self, token: str, subcode: int = 463) -> None:
        """Make a token invalid: it expired (463), or its user changed the password (460)."""
        self.tokens[token].broken = subcode

    def restore_token(self, token: str) -> None:
        """Make a token valid again."""
        self.tokens[token].broken = None

    def withhold(self, token: str) -> None:
        """Take a token's permission to manage accounts away."""
        self.tokens[token].permitted = False

    def account(self, token: str, waba: str) -> list[Number]:
        """An account's numbers in the order of the listing.

        Raises:
            ErrorResponse: there is no such account, or the token may not read it.
        """
        with self._lock:
            if waba not in self.wabas or not self._opens(token, waba):
                raise errors.not_found(waba)
            numbers = [n for n in self.numbers.values() if n.waba == waba]
            return sorted(numbers, key=lambda n: n.place)

    def number(self, token: str, phone: str, method: str = "get") -> Number:
        """One number.

        Raises:
            ErrorResponse: there is no such number, or the token may not read its account.
        """
        with self._lock:
            number = self.numbers.get(phone)
            if number is None or not self._opens(token, number.waba):
                raise errors.not_found(phone, method)
            return number

    def _opens(self, token: str, waba: str) -> bool:
        opens = self.tokens[token].opens
        return opens is None or waba in opens
