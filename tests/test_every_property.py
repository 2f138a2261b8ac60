# SPDX-License-Identifier: Apache-2.0
"""Nothing in config.json is ignored: each property of the specification's schema changes what is done, or is refused.

The table is properties.py. Two configurations that differ in one property must differ in what follows from them: the
program, what is written to cgroups of either version, and what the runtime does from outside.
"""

import copy
import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroups.path import inner
from pyrunc.cgroups.resources import warnings, writes
from pyrunc.config import net_device_rules
from pyrunc.config.fields import Config, Section
from pyrunc.config.load import parse
from pyrunc.config.validate import HOOKS, validate
from pyrunc.errors import ConfigError, PyruncError
from pyrunc.linux.host import Host
from pyrunc.plan import device_filter, idmap, rlimits, scheduler
from pyrunc.plan.compile import Choices, container, process
from pyrunc.plan.program import Program
from pyrunc.process.hooks import check_hook
from pyrunc.process.idmap import mappings
from pyrunc.process.intel_rdt import Group, schemata
from pyrunc.seccomp import cache
from tests.properties import ELSEWHERE, IGNORED, RICH, ROWS

SCHEMA = Path(os.environ.get("PYRUNC_SPEC_SCHEMA") or Path(__file__).parents[2] / "shared/schema")
OTHER_PLATFORMS = ("/solaris", "/windows", "/vm", "/zos", "/freebsd")
MAPS = ("uidMappings", "gidMappings")
LSM = ("apparmor", "selinux")

Json = Any


def merge(base: Json, patch: Json) -> Json:
    """Objects key by key, anything else replaced, None removed."""
    if not isinstance(patch, dict) or not isinstance(base, dict):
        return copy.deepcopy(patch)
    merged = {**base, **{key: merge(base.get(key), value) for key, value in patch.items()}}
    return {key: value for key, value in merged.items() if value is not None}


def put(config: Json, pointer: str, value: Json) -> Json:
    """A copy with `value` there; "-" is the first of an array, "*" the first name of an object; None removes."""
    changed = json.loads(json.dumps(config))  # no part of it twice, as deepcopy() would leave it
    place: Json = changed
    *way, last = [key(word) for word in pointer[1:].split("/")]
    for word in way:
        place = place[next(iter(place)) if word == "*" else word]
    last = next(iter(place)) if last == "*" else last
    if value is None:
        place.pop(last)
    else:
        place[last] = value
    return changed


def key(word: str) -> "str | int":
    return 0 if word == "-" else word


def program(compiled: Program) -> object:
    return compiled.listing(), compiled.encode(dict.fromkeys(compiled.inputs, 9), 1, 2)


@functools.cache
def effect(described: bytes, mode: str) -> object:
    """All that follows from a configuration on a host with this version of cgroups; a refusal is its text."""
    config = Config(parse(described), "/bundle")
    host = Host(lsm=LSM, cgroup_mode=mode, cgroups=(("", "", "/sys/fs/cgroup", "/x"),))
    try:
        warned = validate(config, host)
        linux = config.require("linux")
        section, limits = linux.section("seccomp"), linux.section("resources")
        bpf = cache.load(section, host.machine, None) if section is not None else b""
        hooks = config.section("hooks") or Section({})
        from_outside = [
            [mappings(linux, field) for field in MAPS],
            [[mappings(mount, field) for field in MAPS] for mount in idmap.needed(config).values()],
            rlimits.outside(config, host),
            scheduler.outside(config, host),
            [[check_hook(hook) for hook in hooks.sections(kind)] for kind in HOOKS],
            [section.text(name, "") for name in ("listenerPath", "listenerMetadata")] if section is not None else [],
            [row[:2] for row in net_device_rules.devices(config)],
            group(linux.section("intelRdt")),
            config.strings("annotations"),
            config.text("ociVersion"),
        ]
        cgroup = [
            inner(linux.text("cgroupsPath", ""), "id"),
            [(write.pointer, write.choices) for write in writes(limits, mode == "v2")],
            str(device_filter.of_config(config)),
            warnings(limits),
        ]
        choices = Choices(bpf=bpf)
        programs = [program(container(config, host, choices)), program(process(config, host, choices, 0))]
    except PyruncError as error:
        return str(error)
    return warned, from_outside, cgroup, programs


def group(section: "Section | None") -> object:
    """What is made of linux.intelRdt below a resctrl in which there is nothing."""
    if section is None:
        return None
    found = Group(section, "box", "/nonexistent")
    return found.path, found.monitoring, found.own, schemata(section)


def both(described: Json) -> list[object]:
    """The effects on cgroup v2 without what only v1 has, and on v1."""
    limits = described["linux"].get("resources", {})
    v2 = put(described, "/linux/resources", {key: limits[key] for key in V2 if key in limits})
    return [effect(json.dumps(v2).encode(), "v2"), effect(json.dumps(described).encode(), "v1")]


V2 = ("devices", "pids", "rdma", "hugepageLimits", "unified")


def base_of(row: "tuple[Json, ...]") -> Json:
    return merge(RICH, row[2]) if len(row) > 2 else RICH


def test_the_configuration_is_accepted() -> None:
    """Else every difference would be drowned in one refusal."""
    assert [type(one) for one in both(RICH)] == [tuple, tuple], both(RICH)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_another_value_has_another_effect(row: "tuple[Json, ...]") -> None:
    base = base_of(row)
    assert any(isinstance(one, tuple) for one in both(base)), both(base)
    assert both(base) != both(put(base, row[0], row[1]))


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_wrong_type_is_refused(row: "tuple[Json, ...]") -> None:
    """By its own pointer, so it is the property itself that is read."""
    base = base_of(row)
    wrongs: list[Json] = [{"": {}}, 1.5]
    for wrong in wrongs:
        found = [one for one in both(put(base, row[0], wrong)) if isinstance(one, str)]
        assert found, wrong
        assert any(one.startswith(concrete(base, row[0])) for one in found), found


def concrete(config: Json, pointer: str) -> str:
    """The pointer in this configuration."""
    words: list[str] = []
    place: Json = config
    for word in pointer[1:].split("/"):
        step = key(word) if word != "*" else next(iter(place))
        words.append(str(step))
        place = place.get(step) if isinstance(place, dict) else place[step]
    return "/" + "/".join(words)


@pytest.mark.parametrize("pointer", IGNORED)
def test_of_another_platform(pointer: str) -> None:
    assert both(RICH) == both(put(RICH, pointer, "x"))


@pytest.mark.parametrize("platform", OTHER_PLATFORMS)
def test_other_platforms(platform: str) -> None:
    assert both(RICH) == both(put(RICH, platform, {"x": 1}))


@pytest.mark.parametrize("pointer", ELSEWHERE)
def test_the_type_of_what_is_applied_elsewhere(pointer: str) -> None:
    limits = Section(put(RICH, pointer, 5)["linux"]["resources"], "/linux/resources")
    with pytest.raises(ConfigError) as caught:
        writes(limits, False)
    assert caught.value.pointer == pointer


# The schema of the specification


def read(name: str) -> Json:
    return json.loads((SCHEMA / name).read_text())


def follow(reference: str, file: str) -> "tuple[Json, str]":
    name, _, fragment = reference.partition("#")
    value = read(name or file)
    for word in fragment.strip("/").split("/"):
        value = value[word] if word else value
    return value, name or file


def properties(schema: Json, file: str, pointer: str) -> Iterator[str]:
    """The pointers of all properties without properties of their own."""
    while "$ref" in schema:
        schema, file = follow(schema["$ref"], file)
    inside = [(f"/{name}", inner) for name, inner in schema.get("properties", {}).items()]
    inside += [("/*", inner) for inner in schema.get("patternProperties", {}).values()]
    for name in ("additionalProperties", "items"):
        if isinstance(schema.get(name), dict):
            inside.append(("/*" if name != "items" else "/-", schema[name]))
    inside += [("", inner) for word in ("allOf", "anyOf", "oneOf") for inner in schema.get(word, [])]
    found = [one for step, inner in inside for one in properties(inner, file, pointer + step)]
    # An array of plain values is one property
    yield from (one for one in found if not one.endswith("/-"))
    if any(one.endswith("/-") for one in found) or not found:
        yield pointer


@pytest.mark.skipif(not SCHEMA.is_dir(), reason=f"needs the specification's schema in {SCHEMA} (PYRUNC_SPEC_SCHEMA)")
def test_the_table_has_every_property_of_the_schema() -> None:
    wanted = {
        pointer
        for pointer in properties(read("config-schema.json"), "config-schema.json", "")
        if not pointer.startswith(OTHER_PLATFORMS)
    }
    table = {row[0] for row in ROWS} | set(IGNORED) | set(ELSEWHERE)
    assert not wanted - table
