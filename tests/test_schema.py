# SPDX-License-Identifier: Apache-2.0
"""spec/: our schemas are JSON Schemas, explain each property, and judge the specification's own examples as it does."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from referencing.jsonschema import DRAFT4

from pyrunc.config import schema
from pyrunc.config.template import rootless, template
from pyrunc.container.features import features
from tests.test_every_property import SCHEMA

ROOT = Path(__file__).parent.parent
NAMES = ("config", "state", "features")
needs_official = pytest.mark.skipif(
    not SCHEMA.is_dir(), reason=f"needs the specification's schema in {SCHEMA} (PYRUNC_SPEC_SCHEMA)"
)

Json = Any


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema.load(name))


def nodes(node: Json, way: str = "") -> Iterator[tuple[str, Json]]:
    """Each schema of a property, with its place."""
    if isinstance(node, dict):
        for name, inner in node.get("properties", {}).items() if isinstance(node.get("properties"), dict) else ():
            yield f"{way}/{name}", inner
        for key, inner in node.items():
            yield from nodes(inner, f"{way}/{key}")
    elif isinstance(node, list):
        for inner in node:
            yield from nodes(inner, way)


@pytest.mark.parametrize("name", NAMES)
def test_is_a_json_schema(name: str) -> None:
    """Of 2020-12."""
    jsonschema.Draft202012Validator.check_schema(schema.load(name))
    assert schema.load(name)["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize("name", NAMES)
def test_each_property_is_described(name: str) -> None:
    """In one sentence."""
    found = [(way, inner) for way, inner in nodes(schema.load(name)) if "/if/" not in way]
    assert found
    assert not [way for way, inner in found if not str(inner.get("description", "")).endswith(".")]


@pytest.mark.parametrize("name", NAMES)
def test_requirements_are_rows(name: str) -> None:
    rows = (ROOT / "conformance/requirements.tsv").read_text("utf-8").splitlines()
    known = {row.partition("\t")[0] for row in rows}
    assert set(re.findall(r"SPEC-\d+", json.dumps(schema.load(name)))) <= known


def test_names_are_those_of_the_code() -> None:
    """Words of an enumeration are rows of the tables that the runtime reads."""
    from pyrunc.linux import namespaces, rlimits, scheduling, seccomp_rows

    definitions = schema.load("config")["$defs"]

    def words(name: str, key: str) -> set[str]:
        node = definitions[name]["properties"][key]
        return set(node["enum"] if "enum" in node else node["items"]["enum"])

    assert words("Namespace", "type") == set(namespaces.NAMESPACES)
    assert words("Rlimit", "type") == set(rlimits.RLIMITS)
    assert words("Scheduler", "policy") == set(scheduling.POLICIES)
    assert words("Scheduler", "flags") == set(scheduling.SCHED_FLAGS)
    assert words("IoPriority", "class") == set(scheduling.IO_CLASSES)
    assert words("MemoryPolicy", "mode") == set(scheduling.MEMORY_MODES)
    assert words("MemoryPolicy", "flags") == set(scheduling.MEMORY_FLAGS)
    assert words("Personality", "domain") == set(scheduling.DOMAINS)
    assert set(definitions["SeccompAction"]["enum"]) == set(seccomp_rows.ACTIONS)
    assert words("Seccomp", "architectures") == set(seccomp_rows.ARCHITECTURES)
    assert words("Seccomp", "flags") == set(seccomp_rows.FLAGS)
    assert words("SeccompCondition", "op") == set(seccomp_rows.OPERATORS)


def test_what_we_write_is_valid() -> None:
    """The template of `spec`, also the rootless one, and the output of `features`."""
    assert validator("config").is_valid(template())
    assert validator("config").is_valid(rootless(template(), 1000, 1000))
    assert not list(validator("features").iter_errors(features()))


@needs_official
def test_features_as_printed() -> None:
    """The command's output keeps to both schemas, and ours describes each of its members."""
    done = subprocess.run([Path(sys.executable).with_name("pyrunc"), "features"], capture_output=True, check=True)
    printed = json.loads(done.stdout)
    resources = [
        (one.name, DRAFT4.create_resource(json.loads(one.read_text("utf-8")))) for one in SCHEMA.glob("*.json")
    ]
    registry: referencing.Registry[Json] = referencing.Registry().with_resources(resources)
    official = jsonschema.Draft4Validator({"$ref": "features-schema.json"}, registry=registry)
    for judge in (official, validator("features")):
        assert [error.message for error in judge.iter_errors(printed)] == []
    assert not official.is_valid(printed | {"ociVersionMin": 1})
    assert set(printed) <= set(schema.load("features")["properties"])
    assert set(printed["linux"]) <= {way.rpartition("/")[2] for way, _ in nodes(schema.load("features"))}


@needs_official
@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_the_specification(name: str) -> None:
    """Every good one is accepted, every bad one refused."""
    seen = set()
    for path in sorted((SCHEMA / "test" / name).glob("*/*.json")):
        try:
            accepted = validator(name).is_valid(json.loads(path.read_bytes()))
        except ValueError:
            accepted = False
        assert accepted == (path.parent.name == "good"), path
        seen.add(path.parent.name)
    assert seen == {"good", "bad"}


def resolved(node: Json, file: str) -> "tuple[Json, str]":
    while "$ref" in node:
        reference, _, fragment = node["$ref"].partition("#")
        file = reference or file
        node = json.loads((SCHEMA / file).read_text("utf-8"))
        for word in fragment.strip("/").split("/"):
            node = node[word] if word else node
    return node, file


def official_properties(node: Json, file: str, way: str = "") -> Iterator[str]:
    node, file = resolved(node, file)
    for name, inner in node.get("properties", {}).items():
        yield f"{way}/{name}"
        yield from official_properties(inner, file, f"{way}/{name}")
    for word, step in (("items", "/-"), ("additionalProperties", "/*")):
        if isinstance(node.get(word), dict):
            yield from official_properties(node[word], file, way + step)
    for word in ("allOf", "anyOf", "oneOf"):
        for inner in node.get(word, []):
            yield from official_properties(inner, file, way)


def our_properties(node: Json, definitions: Json, way: str = "") -> Iterator[str]:
    while "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    for name, inner in node.get("properties", {}).items():
        yield f"{way}/{name}"
        yield from our_properties(inner, definitions, f"{way}/{name}")
    for word, step in (("items", "/-"), ("additionalProperties", "/*")):
        if isinstance(node.get(word), dict):
            yield from our_properties(node[word], definitions, way + step)


@needs_official
@pytest.mark.parametrize("name", NAMES)
def test_no_property_is_forgotten(name: str) -> None:
    """But those of platforms that are not described here."""
    ours = schema.load(name)
    file = f"{name}-schema.json"
    wanted = set(official_properties(json.loads((SCHEMA / file).read_text("utf-8")), file))
    wanted = {way for way in wanted if not re.match("/(solaris|windows|vm|zos)/", way)}
    assert wanted <= set(our_properties(ours, ours["$defs"]))
