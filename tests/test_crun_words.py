# SPDX-License-Identifier: Apache-2.0
"""Words of crun's in a config.json: annotations and mount options that say what a field of the specification says."""

import json
from pathlib import Path

import pytest

from pyrunc.config.crun_words import FAIL_UNKNOWN, RECEIVER, spell_out
from pyrunc.config.fields import Config
from pyrunc.config.load import load
from pyrunc.errors import ConfigError
from pyrunc.seccomp import cache

MAPS = [{"containerID": 0, "hostID": 0, "size": 1}, {"containerID": 1, "hostID": 2, "size": 1000}]


def mount(option: str) -> dict[str, object]:
    config = Config(
        {
            "mounts": [{"destination": "/a", "source": "/b", "options": ["bind", option, "ro"]}],
            "linux": {"uidMappings": MAPS, "gidMappings": MAPS},
        },
        "/",
    )
    spell_out(config)
    return config.sections("mounts")[0].data


def row(inner: int, outer: int, size: int) -> dict[str, int]:
    return {"containerID": inner, "hostID": outer, "size": size}


@pytest.mark.parametrize("word", ["idmap", "ridmap"])
def test_an_idmap_with_rows(word: str) -> None:
    data = mount(f"{word}=uids=0-1-10#10-11-10;gids=0-100-10")
    assert data["options"] == ["bind", word, "ro"]
    assert data["uidMappings"] == [row(0, 1, 10), row(10, 11, 10)]
    assert data["gidMappings"] == [row(0, 100, 10)]


def test_rows_relative_to_the_container() -> None:
    """crun(1): the mapping @1-3-10 where the container's 1 is 2 on the host means 1-4-10."""
    data = mount("idmap=uids=@1-3-10;gids=5-6-7#@0-0-1")
    assert data["uidMappings"] == [row(1, 4, 10)]
    assert data["gidMappings"] == [row(5, 6, 7), row(0, 0, 1)]


def test_an_idmap_alone_is_as_it_was() -> None:
    data = mount("idmap")
    assert data["options"] == ["bind", "idmap", "ro"]
    assert "uidMappings" not in data


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("uids=0-1", '"0-1" is not three numbers'),
        ("uids=0-1-x", '"0-1-x" is not three numbers'),
        ("uids=0--1-1", '"0--1-1" is not three numbers'),
        ("uids=0-1-1;uids=0-1-1", "a second one"),
        ("sizes=0-1-1", "neither uids= nor gids="),
        ("", "neither uids= nor gids="),
        ("uids=@0-5000-1", '"@0-5000-1": the user namespace does not map uid 5000'),
    ],
)
def test_rows_that_are_refused(text: str, cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mount(f"idmap={text}")
    assert caught.value.pointer == "/mounts/0/options/1"
    assert cause in caught.value.cause


def seccomp(annotations: dict[str, str], **fields: object) -> dict[str, object]:
    config = Config({"annotations": annotations, "linux": {"seccomp": dict(fields)}}, "/")
    spell_out(config)
    return config.require("linux").require("seccomp").data


def test_the_receiver_of_a_listener() -> None:
    assert seccomp({RECEIVER: "/run/agent"}) == {"listenerPath": "/run/agent"}
    assert seccomp({RECEIVER: "/run/agent"}, listenerPath="/own") == {"listenerPath": "/own"}
    with pytest.raises(ConfigError, match="is not an absolute path"):
        seccomp({RECEIVER: "agent"})


def test_a_system_call_that_nobody_knows() -> None:
    """Left out, as profiles list more than one kernel has; with the annotation refused by its pointer."""
    fields = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["read", "no_call"], "action": "SCMP_ACT_KILL"}],
    }
    for annotations in ({}, {FAIL_UNKNOWN: "1"}):
        config = Config({"annotations": annotations, "linux": {"seccomp": dict(fields)}}, "/")
        spell_out(config)
        section = config.require("linux").require("seccomp")
        if annotations:
            with pytest.raises(ConfigError, match="knows no system call no_call") as caught:
                cache.load(section, "x86_64", None)
            assert caught.value.pointer == "/linux/seccomp/syscalls/0/names/1"
        else:
            assert cache.load(section, "x86_64", None)


def test_a_bundle_is_read_with_them(tmp_path: Path) -> None:
    data = {"mounts": [{"destination": "/a", "options": ["idmap=uids=0-1-2;gids=0-1-2"]}]}
    (tmp_path / "config.json").write_text(json.dumps(data))
    assert load(str(tmp_path)).sections("mounts")[0].data["uidMappings"] == [row(0, 1, 2)]
