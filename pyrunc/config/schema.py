# SPDX-License-Identifier: Apache-2.0
"""The schemas of spec/ and what jsonschema finds by them, in words that say what to write. Cold: jsonschema is 60 ms.

A schema of ours has beside the keywords of JSON Schema 2020-12 `requirement`, the row of the specification, and
`expected`, what to write in place of what is there.
"""

from pyrunc.config.findings import WARNING, Finding, closest, member, shown, unlike
from pyrunc.config.load import parse, read
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Node = dict[str, Any]

_TYPES = {
    "string": "a string",
    "boolean": "true or false",
    "object": "an object",
    "array": "an array",
    "integer": "an integer",
}


def load(name: str) -> "Node":
    """The schema `config`, `state` or `features`."""
    file = f"{name}.schema.json"
    return parse(_bytes(file), file)


def _bytes(file: str) -> bytes:
    """Of pyrunc/spec in a wheel, of spec/ beside the package in the sources, of the archive of the one-file program."""
    place = globals().get("__file__")
    if place is None:
        # It is the first import from the archive that tells Python where the program is (pyrunc/onefile/start.py)
        __import__("jsonschema")
        import sys
        from zipimport import zipimporter

        return zipimporter(sys.executable).get_data(f"pyrunc/spec/{file}")
    package = str(place).rpartition("/config/")[0]
    try:
        return read(f"{package}/spec/{file}")
    except PyruncError:
        return read(f"{package.rpartition('/')[0]}/spec/{file}")


def findings(schema: "Node", value: object) -> "list[Finding]":
    """Every violation of a schema by a value, in the order of the value's text; then what the schema does not know."""
    try:
        from jsonschema import Draft202012Validator
    except ImportError as error:
        raise PyruncError(f"validate needs the Python package jsonschema: {error}") from error
    found: dict[tuple[str, str], Finding] = {}
    for violation in Draft202012Validator(schema).iter_errors(value):
        for finding in _of_error(schema, violation):
            found.setdefault((finding.pointer, finding.text), finding)
    return [*found.values(), *_unknown(schema, schema, value, "")]


def _of_error(schema: "Node", error: "Any") -> "Iterator[Finding]":
    pointer = ""
    for key in error.absolute_path:
        pointer = member(pointer, key)
    path = list(error.absolute_schema_path)
    way = _Way(schema, path[:-1])
    requirement = way.requirement
    if error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                wanted = _Way(schema, ["properties", name], way.owner)
                expected = _expected(wanted, "")
                text = f"is missing: write {expected}"
                yield Finding(member(pointer, name), text, wanted.requirement, expected=expected)
    elif error.validator == "additionalProperties":
        names = list(error.schema["properties"])
        for name in error.instance:
            if name not in names:
                yield unlike(member(pointer, name), requirement, _choice(names), name, names)
    elif "propertyNames" in path:
        name, expected = error.instance, way.expected or "another name"
        text = f"the name must be {expected}, not {shown(name)}"
        yield Finding(member(pointer, name), text, requirement, expected=expected, found=shown(name))
    elif error.validator == "anyOf":
        text = f"needs {way.expected}"
        yield Finding(pointer, text, requirement, expected=way.expected, found=shown(error.instance))
    else:
        words = error.schema.get("enum") or []
        yield unlike(pointer, requirement, _expected(way, error.validator), error.instance, words)


class _Way:
    """The nodes of a schema on a path of its keys. near: those about the value itself, from its property inwards."""

    def __init__(self, schema: "Node", path: "list[str | int]", start: "Node | None" = None) -> None:
        node: Any = start or schema
        self.near: list[Node] = [node]
        self.far: list[Node] = []
        named = False
        for key in path:
            if "$ref" in node and key not in node:
                # jsonschema leaves the keyword out of the path
                node = schema["$defs"][node["$ref"].rpartition("/")[2]]
                self.near.append(node)
            node = node[key]
            below = named or key in ("items", "additionalProperties")
            if below:
                self.far += self.near
                self.near = []
            named = key == "properties" and not named
            if isinstance(node, dict) and not named:
                self.near.append(node)
        while "$ref" in node and path[-1:] != ["properties"]:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
            self.near.append(node)

    @property
    def owner(self) -> "Node":
        """The node that has the properties, of which one is missing."""
        return next(node for node in reversed(self.near) if "type" in node and "properties" in node)

    @property
    def requirement(self) -> str:
        """That of the property, else of the array or map around it."""
        return _first([*self.near, *reversed(self.far)], "requirement")

    @property
    def expected(self) -> str:
        """What to write, where the schema says it."""
        return _first(self.near, "expected")


def _first(nodes: "list[Node]", key: str) -> str:
    """What the outermost node says: a type that several properties share knows less than the property."""
    return next((str(node[key]) for node in nodes if node.get(key)), "")


def _expected(way: _Way, keyword: str) -> str:
    node: Node = {}
    for one in way.near:
        node = node | one
    if way.expected:
        return way.expected
    if "enum" in node:
        return _choice([word for word in node["enum"] if word])
    kind = node.get("type", "")
    if kind == "integer" and "minimum" in node:
        return f"an integer from {node['minimum']} to {node['maximum']}"
    if keyword == "maxItems":
        return f"at most {node['maxItems']} entries"
    if keyword == "minLength":
        return "a string that is not empty"
    return _TYPES.get(kind, "another value")


def _choice(words: "list[str]") -> str:
    return words[0] if len(words) == 1 else f"one of {', '.join(words)}"


def _unknown(schema: "Node", node: "Node", value: object, pointer: str) -> "Iterator[Finding]":
    """Warnings of properties that nobody knows: they are ignored (SPEC-165), and often misspelled."""
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    if isinstance(value, list) and "items" in node:
        for index, one in enumerate(value):
            yield from _unknown(schema, node["items"], one, member(pointer, index))
    if not isinstance(value, dict):
        return
    others = node.get("additionalProperties")
    properties = node.get("properties", {})
    for name, one in value.items():
        below = properties.get(name, others)
        if isinstance(below, dict):
            yield from _unknown(schema, below, one, member(pointer, name))
        elif properties and others is None:
            meant = closest(name, [word for word in properties if word not in value])
            hint = f'; did you mean "{meant}"?' if meant else ""
            text = f"no property of this name is known here, and it is ignored{hint}"
            yield Finding(member(pointer, name), text, "SPEC-165", expected=meant, found=shown(name), level=WARNING)
