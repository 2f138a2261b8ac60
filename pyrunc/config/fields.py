# SPDX-License-Identifier: Apache-2.0
"""The reader of config.json: each field is taken with its type, and refused with its JSON pointer.

There is one model of the configuration, the parsed JSON; a Section is an object of it and knows where it stands.
A null is an absent field, as engines written in Go leave it.
"""

from pyrunc.errors import ConfigError

_REQUIRED = object()


class Section:
    """A JSON object and its pointer (RFC 6901); every method raises ConfigError naming the field."""

    __slots__ = ("data", "pointer")

    def __init__(self, data: "dict[str, object]", pointer: str = "") -> None:
        self.data = data
        self.pointer = pointer

    def at(self, key: "str | int") -> str:
        """The pointer of a member, with ~ and / escaped."""
        text = str(key)
        if "~" in text or "/" in text:
            text = text.replace("~", "~0").replace("/", "~1")
        return f"{self.pointer}/{text}"

    def refuse(self, key: "str | int", cause: str) -> ConfigError:
        """The error to raise for a member."""
        return ConfigError(cause, self.at(key))

    def has(self, key: str) -> bool:
        """Whether the member is present and not null."""
        return self.data.get(key) is not None

    def value(self, key: str, default: object = _REQUIRED) -> object:
        """The member as parsed, whatever its type."""
        value = self.data.get(key)
        if value is not None:
            return value
        if default is _REQUIRED:
            raise self.refuse(key, "is required")
        return default

    def text(self, key: str, default: "str | object | None" = _REQUIRED) -> str:
        """A string; a NUL cannot be in it (config/load.py refuses them at the border).

        With `default=None` the result may be None; callers that pass it test for it.
        """
        value = self.value(key, default)
        if type(value) is not str and value is not default:
            raise self.refuse(key, f"must be a string, not {_kind(value)}")
        return value  # type: ignore[return-value]

    def integer(self, key: str, low: int, high: int, default: object = _REQUIRED) -> int:
        """An integer within [low, high]; true, 1.0 and "1" are none."""
        value = self.value(key, default)
        if value is default:
            return value  # type: ignore[return-value]
        if type(value) is not int:
            raise self.refuse(key, f"must be an integer, not {_kind(value)}")
        if not low <= value <= high:
            raise self.refuse(key, f"{value} is out of range: {low} to {high}")
        return value

    def flag(self, key: str, default: object = False) -> bool:
        """A boolean."""
        value = self.value(key, default)
        if type(value) is not bool and value is not default:
            raise self.refuse(key, f"must be true or false, not {_kind(value)}")
        return value  # type: ignore[return-value]

    def texts(self, key: str) -> list[str]:
        """An array of strings; [] when absent."""
        values = self.array(key)
        for index, value in enumerate(values):
            if type(value) is not str:
                raise ConfigError(f"must be a string, not {_kind(value)}", f"{self.at(key)}/{index}")
        return values  # type: ignore[return-value]

    def integers(self, key: str, low: int, high: int) -> list[int]:
        """An array of integers within [low, high]; [] when absent."""
        values = self.array(key)
        for index, value in enumerate(values):
            if type(value) is not int or not low <= value <= high:
                raise ConfigError(f"must be an integer from {low} to {high}", f"{self.at(key)}/{index}")
        return values  # type: ignore[return-value]

    def array(self, key: str) -> list[object]:
        """An array as parsed; [] when absent."""
        value = self.data.get(key)
        if value is None:
            return []
        if type(value) is not list:
            raise self.refuse(key, f"must be an array, not {_kind(value)}")
        return value

    def strings(self, key: str) -> dict[str, str]:
        """An object of strings; {} when absent."""
        section = self.section(key)
        if section is None:
            return {}
        for name, value in section.data.items():
            if type(value) is not str:
                raise section.refuse(name, f"must be a string, not {_kind(value)}")
        return section.data  # type: ignore[return-value]

    def section(self, key: str) -> "Section | None":
        """A member object; None when absent."""
        value = self.data.get(key)
        if value is None:
            return None
        if type(value) is not dict:
            raise self.refuse(key, f"must be an object, not {_kind(value)}")
        return Section(value, self.at(key))

    def require(self, key: str) -> "Section":
        """A member object that must be there."""
        section = self.section(key)
        if section is None:
            raise self.refuse(key, "is required")
        return section

    def sections(self, key: str) -> "list[Section]":
        """An array of objects; [] when absent."""
        pointer = self.at(key)
        found = []
        for index, value in enumerate(self.array(key)):
            if type(value) is not dict:
                raise ConfigError(f"must be an object, not {_kind(value)}", f"{pointer}/{index}")
            found.append(Section(value, f"{pointer}/{index}"))
        return found


class Config(Section):
    """The whole config.json and the absolute path of its bundle directory."""

    __slots__ = ("bundle",)

    def __init__(self, data: "dict[str, object]", bundle: str) -> None:
        super().__init__(data)
        self.bundle = bundle


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }[type(value)]
