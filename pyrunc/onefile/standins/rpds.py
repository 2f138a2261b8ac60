# SPDX-License-Identifier: Apache-2.0
"""What jsonschema and referencing use of the package rpds, whose Rust cannot be linked into dist/pyrunc.

Persistent containers: a change gives a new one. Copies in place of shared trees, as a schema has dozens of entries.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Self


class HashTrieMap(dict[Any, Any]):
    """A map."""

    @classmethod
    def convert(cls, value: "Mapping[Any, Any]") -> "HashTrieMap":
        return value if isinstance(value, cls) else cls(value)

    def insert(self, key: object, value: object) -> "HashTrieMap":
        return HashTrieMap({**self, key: value})

    def remove(self, key: object) -> "HashTrieMap":
        """KeyError if it is not there."""
        rest = HashTrieMap(self)
        del rest[key]
        return rest

    def discard(self, key: object) -> "HashTrieMap":
        return self.remove(key) if key in self else self

    def update(self, *others: Any, **words: object) -> "HashTrieMap":  # type: ignore[override]
        joined = HashTrieMap(self)
        for other in (*others, words):
            dict.update(joined, other)
        return joined


class HashTrieSet(frozenset[Any]):
    """A set."""

    def insert(self, value: object) -> "HashTrieSet":
        return HashTrieSet((*self, value))

    def discard(self, value: object) -> "HashTrieSet":
        return HashTrieSet(member for member in self if member != value)

    def update(self, *others: Iterable[Any]) -> "HashTrieSet":
        return HashTrieSet(self.union(*others))


class List(tuple[Any, ...]):
    """A list that grows at its front."""

    __slots__ = ()

    def __new__(cls, *values: Any) -> Self:
        """List(iterable), or List(value, value …)."""
        return super().__new__(cls, values[0] if len(values) == 1 else values)

    @property
    def first(self) -> Any:
        return self[0]

    @property
    def rest(self) -> "List":
        return List(self[1:])

    def push_front(self, value: object) -> "List":
        return List((value, *self))

    def drop_first(self) -> "List":
        return self.rest
