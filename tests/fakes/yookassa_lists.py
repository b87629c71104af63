"""The lists of the fake YooKassa: newest first, filtered, a page at a time. Fast enough for 100,000 objects."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.fakes.yookassa_objects import Object, Refusal, moment_us

DEFAULT_LIMIT = 10
MAX_LIMIT = 100
DATES = ("created_at", "captured_at")
EQUALS = ("status", "payment_id")
COMPARES: Mapping[str, Callable[[int, int], bool]] = {
    "gte": lambda found, wanted: found >= wanted,
    "gt": lambda found, wanted: found > wanted,
    "lte": lambda found, wanted: found <= wanted,
    "lt": lambda found, wanted: found < wanted,
}


@dataclass
class Collection:
    """Objects of one kind, by id and in the order in which they were made."""

    by_id: dict[str, Object] = field(default_factory=dict[str, Object])
    _order: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    _place: dict[str, tuple[int, int, str]] = field(default_factory=dict[str, tuple[int, int, str]])

    def add(self, made: Object) -> Object:
        """Keep an object."""
        place = (moment_us(made["created_at"]), len(self._order), made["id"])
        self.by_id[made["id"]] = made
        self._place[made["id"]] = place
        insort(self._order, place)
        return made

    def page(self, query: Mapping[str, str]) -> Object:
        """What a request for the list answers.

        Raises:
            Refusal: a parameter makes no sense.
        """
        limit = _limit(query.get("limit", str(DEFAULT_LIMIT)))
        fitting: list[Object] = []
        for found in self._from(query):
            if len(fitting) == limit:
                return {"type": "list", "items": fitting, "next_cursor": found["id"]}
            fitting.append(found)
        return {"type": "list", "items": fitting}

    def _from(self, query: Mapping[str, str]) -> Iterator[Object]:
        bounds = list(_bounds(query))
        oldest = max((wanted for name, sign, wanted in bounds if name == "created_at" and sign[0] == "g"), default=0)
        for at in range(self._start(query.get("cursor", "")), -1, -1):
            made_us, _, object_id = self._order[at]
            if made_us < oldest:
                return
            found = self.by_id[object_id]
            if all(_within(found, *bound) for bound in bounds) and _equal(found, query):
                yield found

    def _start(self, cursor: str) -> int:
        if not cursor:
            return len(self._order) - 1
        if cursor not in self._place:
            raise Refusal("cursor", "Incorrect cursor")
        return bisect_left(self._order, self._place[cursor])


def _limit(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= MAX_LIMIT:
        raise Refusal("limit", f"Limit is from 1 to {MAX_LIMIT}")
    return int(text)


def _bounds(query: Mapping[str, str]) -> Iterator[tuple[str, str, int]]:
    for name, text in query.items():
        date, _, sign = name.partition(".")
        if date in DATES:
            if sign not in COMPARES:
                raise Refusal(name, "Unknown filter")
            yield date, sign, moment_us(text)


def _within(found: Object, name: str, sign: str, wanted: int) -> bool:
    return name in found and COMPARES[sign](moment_us(found[name]), wanted)


def _equal(found: Object, query: Mapping[str, str]) -> bool:
    return all(found.get(name) == query[name] for name in EQUALS if name in query)
