# SPDX-License-Identifier: Apache-2.0
"""Three judges of a config.json agree: the specification's schema, ours in spec/, and the readers that `create` uses.

A valid configuration is changed in one place. Where the judges differ on purpose, schema_differences.py has a row.
"""

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import jsonschema
import pytest
import referencing
from hypothesis import strategies as st
from referencing.jsonschema import DRAFT4

from pyrunc.config import schema
from pyrunc.config.fields import Config
from pyrunc.config.findings import ERROR
from pyrunc.config.template import rootless, template
from pyrunc.container.validate import check, ideal, limits, readers
from pyrunc.errors import PyruncError
from tests.properties import DEVICES, FIFO, LISTENER, RDT, RICH
from tests.schema_differences import DIFFERENCES, OFFICIAL, OURS, READER
from tests.test_every_property import SCHEMA, merge, put
from tests.test_schema import needs_official

FIXTURES = Path(__file__).parent / "fixtures"
ABSENT = "absent"
VALUES: "list[Json]" = [
    *("", "x", "/x", "0-1", "a\nb", "1.0.0", "MB:0=1", "2MB", "CAP_KILL", "pid", "private", "SCMP_ACT_KILL"),
    *(-(2**63) - 1, -1001, -21, -1, 0, 1, 8, 11, 101, 1000, 4096, 2**16, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1),
    *(2**64, 1.0, 1.5, True, False, None, [], ["x"], [1], [{}], {}, {"x": "y"}, {"": "y"}, {"x": {}}),
]

Json = Any


@functools.cache
def official() -> jsonschema.Draft4Validator:
    """The schema of the specification, whose parts name each other by file."""
    parts = [(path.name, json.loads(path.read_text("utf-8"))) for path in SCHEMA.glob("*.json")]
    resources = [(name, DRAFT4.create_resource(contents)) for name, contents in parts]
    registry: referencing.Registry[Json] = referencing.Registry().with_resources(resources)
    return jsonschema.Draft4Validator({"$ref": "config-schema.json"}, registry=registry)


@functools.cache
def ours() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema.load("config"))


def taken(config: Json) -> bool:
    """Whether `create` would read it without a word, on a host that can do everything and some version of cgroups."""
    read = Config(json.loads(json.dumps(config)), "/bundle")
    try:
        for reader in readers(ideal()):
            reader(read)
    except PyruncError:
        return False
    return any(_passes(v2=v2, config=read) for v2 in (False, True))


def _passes(*, v2: bool, config: Config) -> bool:
    try:
        limits(v2=v2)(config)
    except PyruncError:
        return False
    return True


def verdict(config: Json) -> frozenset[str]:
    """Who accepts it."""
    judges = ((OFFICIAL, official().is_valid(config)), (OURS, ours().is_valid(config)), (READER, taken(config)))
    return frozenset(name for name, accepts in judges if accepts)


@functools.cache
def bases() -> "list[Json]":
    """Valid configurations: one with every property, those of `spec`, and some that engines wrote."""
    # The word of runc, rslave, is a row of the differences
    rich = merge(RICH, {"linux": {"rootfsPropagation": "slave"}})
    found = [rich, *(merge(rich, patch) for patch in (LISTENER, DEVICES, RDT, FIFO))]
    found += [template(), rootless(template(), 1000, 1000)]
    for path in sorted((FIXTURES / "engines/configs").glob("*.json"))[::30]:
        config = json.loads(path.read_text("utf-8"))
        seccomp = config["linux"].get("seccomp")
        if seccomp:
            config["linux"]["seccomp"] = small(seccomp)
        found.append(config)
    return found


def small(seccomp: Json) -> Json:
    """The profile that a reference names, with a few of its rules: all of them take seconds to judge."""
    path = FIXTURES / "engines/configs" / seccomp["$ref"]
    profile = json.loads(path.read_text("utf-8"))
    return profile | {"syscalls": [{**rule, "names": rule["names"][:2]} for rule in profile["syscalls"][:4]]}


def places(value: Json, pointer: str = "") -> Iterator[str]:
    """The pointers of all that can be changed; of arrays the first entry stands for all."""
    if pointer:
        yield pointer
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, f"{pointer}/{'*' if '/' in key or '.' in key else key}")
    elif isinstance(value, list) and value:
        yield from places(value[0], f"{pointer}/-")


def row_of(pointer: str, value: Json, accepted: frozenset[str]) -> str:
    """The name of the row that explains who accepts what; "" when there is none."""
    for name, row in DIFFERENCES.items():
        if row.fits(pointer, value, accepted):
            return name
    return ""


def changed(base: Json, pointer: str, value: Json) -> Json:
    """A copy of the base with another value there."""
    if value == ABSENT:
        return put(base, pointer, None)
    whole = put(base, pointer, "placeholder")
    return json.loads(json.dumps(whole).replace('"placeholder"', json.dumps(value)))


@needs_official
@pytest.mark.parametrize("index", range(len(bases())))
def test_the_bases_are_valid(index: int) -> None:
    """Else a change to them shows nothing."""
    assert verdict(bases()[index]) == {OFFICIAL, OURS, READER}


def test_every_recorded_configuration_is_valid() -> None:
    """And `validate` finds nothing wrong with it. Each profile of seccomp is judged whole once: that takes its time."""
    whole, seen = set(), 0
    for path in sorted((FIXTURES / "engines/configs").glob("*.json")):
        config = json.loads(path.read_text("utf-8"))
        if seccomp := config["linux"].get("seccomp"):
            name = seccomp["$ref"]
            config["linux"]["seccomp"] = (
                small(seccomp) if name in whole else json.loads((path.parent / name).read_text())
            )
            whole.add(name)
        assert [finding.line for finding in check(config, set()) if finding.level == ERROR] == [], path.name
        seen += 1
    assert seen > 200
    assert whole


def node_at(pointer: str) -> Json:
    """What our schema says of a place."""
    definitions = schema.load("config")["$defs"]
    node: Json = schema.load("config")
    for word in [*pointer[1:].split("/"), ""]:
        while "$ref" in node:
            node = definitions[node["$ref"].rpartition("/")[2]]
        if word:
            other = node.get("items") if word == "-" else node.get("additionalProperties")
            node = node.get("properties", {}).get(word, other)
    return node


def numbers() -> "list[tuple[int, str]]":
    """The index of a base and the place, of each number."""
    found: dict[str, int] = {}
    for index, base in enumerate(bases()[:5]):
        for pointer in places(base):
            node = node_at(pointer) if "*" not in pointer else {}
            if node.get("type") == "integer" and pointer.count("/prestart") == pointer.count("/hooks"):
                found.setdefault(pointer, index)
    return [(index, pointer) for pointer, index in found.items()]


@needs_official
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_borders_of_numbers() -> None:
    """The least and the greatest, and what is beyond them."""
    seen = 0
    for index, pointer in numbers():
        node = node_at(pointer)
        for value in (node["minimum"] - 1, node["minimum"], node["maximum"], node["maximum"] + 1):
            accepted = verdict(changed(bases()[index], pointer, value))
            assert len(accepted) in (0, 3) or row_of(pointer, value, accepted), (pointer, value, sorted(accepted))
            seen += 1
    assert seen > 200


@st.composite
def changes(draw: st.DrawFn) -> "tuple[Json, str, Json]":
    base = draw(st.sampled_from(bases()))
    pointer = draw(st.sampled_from(list(places(base))))
    return base, pointer, draw(st.sampled_from([ABSENT, *VALUES]) | st.integers(-(2**65), 2**65) | st.text(max_size=8))


@needs_official
@pytest.mark.slow
@pytest.mark.timeout(300)
@hypothesis.settings(max_examples=200, derandomize="CI" in os.environ)
@hypothesis.given(changes())
def test_the_judges_agree(change: "tuple[Json, str, Json]") -> None:
    """On a configuration with another value in one place; or a row says why not."""
    base, pointer, value = change
    config = changed(base, pointer, value)
    accepted = verdict(config)
    if len(accepted) in (0, 3):
        return
    assert row_of(pointer, value, accepted), (pointer, value, sorted(accepted))


@pytest.mark.slow
@pytest.mark.timeout(300)
@hypothesis.settings(max_examples=100, derandomize="CI" in os.environ)
@hypothesis.given(changes())
def test_what_validate_takes_create_takes(change: "tuple[Json, str, Json]") -> None:
    """And what it refuses, the schema or a reader refuses; a null is no member for either."""
    config = without_nulls(changed(*change))
    errors = [finding.line for finding in check(config, set()) if finding.level == ERROR]
    assert bool(errors) != (ours().is_valid(config) and taken(config)), errors


def without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value
