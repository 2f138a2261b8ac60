# SPDX-License-Identifier: Apache-2.0
"""The bundle, ociVersion, root, and the rules for JSON and for values: bundle.md, glossary.md, parts of config.md."""

import json
from collections.abc import Callable

from conformance.box import Box
from conformance.patch import Patch, capabilities, combine, linux, merge, mount, mounts, plain, process
from conformance.report import version
from conformance.requirements import case, refusal


def broken(id: str, name: str, alter: Callable[[Box], None]) -> None:
    """Registers a case: `create` of a bundle that `alter` has spoilt is an error."""

    @case(id, name=name)
    def spoilt(box: Box) -> None:
        box.control({})
        before = box.snapshot()
        box.write({})
        alter(box)
        box.judge_refusal(id, box.create_as_is(), before)


def _config(box: Box) -> bytes:
    return (box.bundle / "config.json").read_bytes()


def _put(box: Box, data: bytes) -> None:
    (box.bundle / "config.json").write_bytes(data)


def _double(box: Box) -> None:
    _put(box, _config(box).replace(b'"cwd": "/"', b'"cwd": "/", "cwd": "/tmp"'))


def _latin(box: Box) -> None:
    box.write({"annotations": {"org.example.name": "Hello"}})
    _put(box, _config(box).replace(b"Hello", b"H\xf6llo"))


broken("SPEC-001", "no_config", lambda box: (box.bundle / "config.json").unlink())
broken("SPEC-001", "other_case", lambda box: _rename(box, "Config.json"))
broken("SPEC-001", "below_the_root", lambda box: _rename(box, "rootfs/config.json"))
broken("SPEC-003", "utf16", lambda box: _put(box, _config(box).decode().encode("utf-16")))
broken("SPEC-003", "latin1", _latin)
broken("SPEC-004", "double_name", _double)
broken("SPEC-167", "no_json", lambda box: _put(box, b'{"ociVersion": "1.0.2",'))
broken("SPEC-167", "no_object", lambda box: _put(box, b"[]"))


def _rename(box: Box, name: str) -> None:
    (box.bundle / "config.json").rename(box.bundle / name)


@case("SPEC-003")
def utf8(box: Box) -> None:
    """A control: letters outside ASCII are kept."""
    box.start({"annotations": {"org.example.name": "café ☕"}}, "true")
    box.same("SPEC-003", (box.state().get("annotations") or {}).get("org.example.name"), "café ☕")


@case("SPEC-002", "SPEC-009")
def one_directory(box: Box) -> None:
    """Rootfs and config.json are of the bundle, whatever the working directory of the caller is."""
    (box.rootfs / "mark").write_text("this one")
    for path in ("rootfs", str(box.rootfs)):
        found = box.fact({"root": {"path": path}}, "cat /mark")
        box.same("SPEC-009", found, "this one", f"root.path {path}")
        box.same("SPEC-002", found, "this one")


@case("SPEC-005", "SPEC-006")
def known_versions(box: Box) -> None:
    """Older versions of the same major run, with what they say after the dash as well."""
    features = box.call("features")
    newest = version(json.loads(features.out)["ociVersionMax"]) if features.status == 0 else (1, 0)
    for text in ("1.0.0", "1.0.2-dev", "1.0.1", "1.1.0", "1.2.0"):
        if version(text) <= newest:
            box.same("SPEC-006", box.fact({"ociVersion": text}, "echo ran"), "ran", text)
    box.same("SPEC-005", box.fact({"ociVersion": "1.0.2-rc1+build.7"}, "echo ran"), "ran")


for text in ("", "1", "1.0", "v1.0.2", "1.0.2.3", "1.0.x", "01.0.2"):
    refusal("SPEC-005", {"ociVersion": text}, label=repr(text))
refusal("SPEC-005", {"ociVersion": None}, label="absent")
refusal("SPEC-006", {"ociVersion": "99.0.0"})
refusal("SPEC-007", {"root": None})
refusal("SPEC-008", {"root": {"path": None}})
refusal("SPEC-008", {"root": {"path": ""}})
refusal("SPEC-008", {"root": {"path": "missing"}})
refusal("SPEC-008", {"root": {"path": "config.json"}})


@case("SPEC-011")
def readonly_root(box: Box) -> None:
    facts = box.facts({}, write="touch /tmp/a && echo done")
    box.same("SPEC-011", facts["write"], "done", "without readonly")
    facts = box.facts({"root": {"readonly": True}}, write="touch /tmp/a && echo done", dev="touch /dev/a && echo done")
    box.holds("SPEC-011", "Read-only file system" in facts["write"], f"with readonly: {facts['write']!r}")
    box.same("SPEC-011", facts["dev"], "done", "a mount below a readonly root")


@case("SPEC-165")
def unknown_properties(box: Box) -> None:
    """Wherever they stand, with any value."""
    new = {"x-conformance": {"deep": [1, None, "two"]}}
    patch = combine(
        new,
        {"root": new, "hooks": {"onNewYear": []}},
        process(**new, user=new, capabilities=new, rlimits=[{"type": "RLIMIT_CORE", "soft": 0, "hard": 0, **new}]),
        linux(**new, resources=new, namespaces=[{**one, **new} for one in plain("")["linux"]["namespaces"]]),
        mounts({**mount("/m"), **new}),
    )
    box.same("SPEC-165", box.fact(patch, "echo ran"), "ran")


# A known property with a value of another type, or beyond its range
WRONG: tuple[Patch, ...] = (
    {"hostname": 7},
    {"root": {"readonly": "yes"}},
    process(args="true"),
    process(terminal="no"),
    process(user={"uid": -1}),
    process(user={"uid": "root"}),
    process(user={"uid": 4294967296}),
    process(env={"PATH": "/bin"}),
    process(noNewPrivileges=1),
    process(oomScoreAdj="100"),
    {"mounts": {}},
    mounts(mount("/m", "nosuchfs")),
    linux(maskedPaths="/proc/kcore"),
    linux(resources={"pids": {"limit": "many"}}),
    linux(resources={"memory": {"limit": "1G"}}),
    linux(resources={"cpu": {"shares": -1}}),
    linux(sysctl={"net.core.somaxconn": 256}),
    linux(rootfsPropagation=True),
)
for bad in WRONG:
    refusal("SPEC-167", bad, label=json.dumps(bad)[:60])


@case("SPEC-330", "SPEC-331")
def environment(box: Box) -> None:
    """What was asked for is there; every refusal shows the other side."""
    patch = merge(capabilities("CAP_KILL"), {"hostname": "made"})
    box.same("SPEC-331", box.fact(patch, "hostname"), "made")
    box.start({}, "true")
    state = box.state()
    box.holds("SPEC-330", isinstance(state.get("ociVersion"), str) and version(state["ociVersion"]), f"{state}"[:200])


refusal("SPEC-331", mounts(mount("/m", "bind", "bind", source="/nonexistent/source")))
