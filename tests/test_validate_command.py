# SPDX-License-Identifier: Apache-2.0
"""`pyrunc validate`: every mistake of a config.json, one line each, with its place and what to write instead."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyrunc.config.findings import WARNING, Finding
from pyrunc.config.template import rootless, template
from pyrunc.container import host_checks
from pyrunc.container.report import report
from pyrunc.container.validate import check, ideal
from pyrunc.linux.host import Host
from tests.properties import RICH
from tests.test_every_property import merge, put

ROOT = Path(__file__).parent.parent
PYRUNC = Path(sys.executable).with_name("pyrunc")

Json = Any


def lines(config: Json) -> list[str]:
    return [finding.line for finding in check(config, set())]


def errors(config: Json) -> list[tuple[str, str]]:
    return [(one.pointer, one.requirement) for one in check(config, set()) if one.level != WARNING]


def changed(**places: Json) -> Json:
    """RICH with other values, by pointers with __ for /."""
    config = RICH
    for place, value in places.items():
        config = put(config, "/" + place.replace("__", "/").replace("/0", "/-"), value)
    return config


def validate(*words: str, text: str = "", cwd: "Path | None" = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PYRUNC, "validate", *words], input=text, capture_output=True, text=True, check=False, cwd=cwd, timeout=60
    )


def test_nothing_is_wrong() -> None:
    for config in (template(), rootless(template(), 1000, 1000)):
        assert lines(config) == []
    assert errors(RICH) == []


def test_three_mistakes_are_three_lines() -> None:
    """Each says what to write; none is about what follows from another."""
    config = changed(process__cwd="tmp", process__rlimits__0__type="NOFILE", linux__seccomp__defaultAction="KILL")
    assert lines(config)[:-1] == [
        '/process/cwd: write an absolute path such as "/", not "tmp" (SPEC-097)',
        '/process/rlimits/0/type: write "RLIMIT_NOFILE", not "NOFILE" (SPEC-101)',
        '/linux/seccomp/defaultAction: write "SCMP_ACT_KILL", not "KILL" (SPEC-293)',
    ]


def test_a_namespace_that_is_misspelled_is_one_mistake() -> None:
    """The host name, the offsets of clocks and the mounts that need it are not refused for the lack of it."""
    names = [row["type"] for row in RICH["linux"]["namespaces"]]
    for index, name in enumerate(names):
        config = copy.deepcopy(RICH)
        config["linux"]["namespaces"][index]["type"] = f"{name}s"
        assert errors(config) == [(f"/linux/namespaces/{index}/type", "SPEC-173")]


@pytest.mark.parametrize(
    ("patch", "pointer", "requirement", "words"),
    [
        ({"root": None}, "/root", "SPEC-007", 'is missing: write an object such as {"path": "rootfs"}'),
        ({"ociVersion": "2.0.0"}, "/ociVersion", "SPEC-006", "2.0.0 is not supported"),
        ({"process": {"args": []}}, "/process/args", "SPEC-099", 'write at least the program to run, such as ["sh"]'),
        ({"process": {"env": ["A"]}}, "/process/env/0", "SPEC-098", 'write NAME=VALUE, such as "TERM=xterm", not "A"'),
        ({"process": {"user": {"gid": "root"}}}, "/process/user/gid", "SPEC-128", "from 0 to 4294967294, not"),
        ({"process": {"user": {"uid": None}}}, "/process/user/uid", "SPEC-127", "is missing: write an integer"),
        (
            {"process": {"rlimits": [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]}},
            "/process/rlimits/0/soft",
            "SPEC-103",
            "write at most the hard limit",
        ),
        (
            {"process": {"rlimits": [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2}},
            "/process/rlimits/1/type",
            "SPEC-105",
            "is given twice: remove one of them",
        ),
        ({"process": {"scheduler": {"priority": 9}}}, "/process/scheduler/priority", "SPEC-118", "SCHED_FIFO and"),
        (
            {
                "linux": {
                    "namespaces": [{"type": "mount"}, {"type": "ipc"}],
                    **dict.fromkeys(("timeOffsets", "uidMappings", "gidMappings")),
                }
            }
            | {"domainname": None, "mounts": [], "process": {"scheduler": None, "ioPriority": None}},
            "/hostname",
            "SPEC-132",
            'add {"type": "uts"} to /linux/namespaces, or remove hostname',
        ),
        ({"mounts": [{"type": "tmpfs"}]}, "/mounts/0/destination", "SPEC-013", "is missing: write an absolute path"),
        (
            {"mounts": [{"destination": "/a", "source": "/b"}]},
            "/mounts/0/type",
            "SPEC-017",
            'write a filesystem such as "tmpfs", or add "bind" to options',
        ),
        ({"hooks": {"poststop": [{"path": "x"}]}}, "/hooks/poststop/0/path", "SPEC-134", "write an absolute path"),
        ({"annotations": {"": "x"}}, "/annotations/", "SPEC-157", "a name that is not empty"),
        ({"linux": {"sysctl": {"vm.swappiness": "1"}}}, "/linux/sysctl/vm.swappiness", "SPEC-292", "change the host"),
        ({"linux": {"timeOffsets": {"tai": {}}}}, "/linux/timeOffsets/tai", "SPEC-190", "monotonic, boottime"),
        ({"linux": {"devices": [{"type": "c", "path": "/x", "minor": 1}]}}, "/linux/devices/0/major", "SPEC-196", ""),
        (
            {"linux": {"resources": {"rdma": {"mlx5_0": None, "x": {}}}}},
            "/linux/resources/rdma/x",
            "SPEC-261",
            "or both",
        ),
        (
            {"linux": {"resources": {"memory": {"limit": "1G", "swap": None}}}},
            "/linux/resources/memory/limit",
            "SPEC-236",
            'a number of bytes such as 67108864, or -1 for no limit, not "1G"',
        ),
        (
            {"linux": {"resources": {"memory": {"swap": 1}}}},
            "/linux/resources/memory/swap",
            "SPEC-237",
            "write at least the limit",
        ),
        (
            {"linux": {"seccomp": {"listenerMetadata": "m"}}},
            "/linux/seccomp/listenerMetadata",
            "SPEC-305",
            "needs listenerPath: add it",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("/") else "",
)
def test_one_mistake_is_one_line(patch: Json, pointer: str, requirement: str, words: str) -> None:
    found = [one for one in check(merge(RICH, patch), set()) if one.level != WARNING]
    assert [(one.pointer, one.requirement) for one in found] == [(pointer, requirement)]
    assert words in found[0].line


def test_entries_keep_their_numbers() -> None:
    """What stands behind an entry that was refused is still called by its place in the file."""
    rows = [{"type": f"RLIMIT_{word}", "soft": 2, "hard": 1} for word in ("CPU", "AS", "X", "CORE", "DATA")]
    found = errors(merge(RICH, {"process": {"rlimits": rows}}))
    assert sorted(found) == [
        (f"/process/rlimits/{index}/{'type' if index == 2 else 'soft'}", "SPEC-101" if index == 2 else "SPEC-103")
        for index in range(5)
    ]


def test_what_follows_is_not_reported() -> None:
    """A swap cannot be compared with a limit that is no number, nor a map with another that is wrong."""
    assert errors(merge(RICH, {"linux": {"resources": {"memory": {"limit": "1G"}}}})) == [
        ("/linux/resources/memory/limit", "SPEC-236")
    ]
    assert errors(changed(linux__uidMappings=[{"containerID": 0, "hostID": -1, "size": 1}])) == [
        ("/linux/uidMappings/0/hostID", "SPEC-188")
    ]


def test_limits_of_one_version_of_cgroups_are_no_mistake() -> None:
    """But what neither can do is one."""
    assert errors(changed(linux__resources={"memory": {"swappiness": 5}, "unified": {"memory.high": "1"}})) == []
    assert errors(changed(linux__resources={"blockIO": {"weight": 5}})) == [
        ("/linux/resources/blockIO/weight", "SPEC-249")
    ]


def test_warnings() -> None:
    """A name that is unknown is taken by every runtime, and often misspelled."""
    config = put(template(), "/process/capabilities", None)
    config["process"]["capability"] = {"bounding": ["CAP_KILL"]}
    config["process"]["capabilities"] = {"bounding": ["NET_ADMIN", "CAP_KIL"]}
    config["mounts"] = [{"destination": "proc", "type": "proc", "option": []}]
    ignored = "no property of this name is known here, and it is ignored"
    relative = "a relative path is deprecated, it is taken as relative to /: write it with a / before it"
    unknown = "is no capability, and is left out: write"
    bounding = "/process/capabilities/bounding"
    assert lines(config) == [
        f"warning: /process/capability: {ignored} (SPEC-165)",
        f'warning: /mounts/0/option: {ignored}; did you mean "options"? (SPEC-165)',
        f"warning: /mounts/0/destination: {relative} (SPEC-014)",
        f'warning: {bounding}/0: "NET_ADMIN" {unknown} "CAP_NET_ADMIN" (SPEC-107)',
        f'warning: {bounding}/1: "CAP_KIL" {unknown} "CAP_KILL" (SPEC-107)',
    ]


def test_null_is_absent() -> None:
    """As engines written in Go leave what they have not set."""
    assert lines(merge(template(), {"x": 1}) | {"hooks": None, "x": None}) == []


# The command


def test_a_file_with_mistakes(tmp_path: Path) -> None:
    """One line for each with its place, in the order of the text; 1."""
    config = json.dumps(put(put(template(), "/process/cwd", "tmp"), "/ociVersion", "1"), indent=1)
    (tmp_path / "config.json").write_text(config, "utf-8")
    done = validate(cwd=tmp_path)
    cwd = next(number for number, line in enumerate(config.splitlines(), 1) if '"cwd"' in line)
    assert done.stdout.splitlines() == [
        'config.json:2:16: /ociVersion: write a version such as "1.3.0", not "1" (SPEC-005)',
        f'config.json:{cwd}:10: /process/cwd: write an absolute path such as "/", not "tmp" (SPEC-097)',
    ]
    assert (done.returncode, done.stderr) == (1, "")
    assert validate("-b", str(tmp_path)).stdout.startswith(f"{tmp_path}/config.json:2:16: ")
    assert validate("--config", "config.json", cwd=tmp_path).stdout == done.stdout


def test_several_files(tmp_path: Path) -> None:
    """As pre-commit names them."""
    (tmp_path / "good.json").write_text(json.dumps(template()), "utf-8")
    (tmp_path / "bad.json").write_text("{}", "utf-8")
    assert validate("good.json", cwd=tmp_path).returncode == 0
    done = validate("good.json", "bad.json", cwd=tmp_path)
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == ["bad.json:1:1", "bad.json:1:1"]
    assert done.returncode == 1


def test_standard_input_and_json() -> None:
    """`-b -` reads standard input."""
    done = validate("-b", "-", "--json", text='{"ociVersion": "1.0.0", "root": {"path": 5}}')
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "valid": False,
        "findings": [
            {
                "file": "<stdin>",
                "line": 1,
                "column": 42,
                "level": "error",
                "pointer": "/root/path",
                "requirement": "SPEC-008",
                "expected": 'the path of a folder such as "rootfs"',
                "found": "5",
                "host": False,
                "message": 'write the path of a folder such as "rootfs", not 5',
            }
        ],
    }
    good = validate("-b", "-", "--json", text='{"ociVersion": "1.0.0", "root": {"path": "x"}}')
    assert (good.returncode, json.loads(good.stdout)) == (0, {"valid": True, "findings": []})


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    done = validate("-b", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"pyrunc: JSON specification file {tmp_path}/config.json not found\n"


def test_text_and_contents_at_once(tmp_path: Path) -> None:
    """A name that is given twice is no reason not to look at the rest."""
    path = tmp_path / "config.json"
    path.write_text(
        '{"ociVersion": "1.0.0", "ociVersion": "1.0.0",\n"root": {"path": "x\\u0000"}, "hostname": 1}', "utf-8"
    )
    found = report(str(path))
    assert [(one.pointer, one.requirement) for one in found.findings] == [
        ("/ociVersion", "SPEC-004"),
        ("/root/path", "SPEC-003"),
        ("/hostname", "SPEC-132"),
    ]
    assert found.positions == [(1, 25), (2, 18), (2, 42)]


def test_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes('{"a": "é",\n "b": "'.encode() + b'\xff"}')
    found = report(str(path))
    assert (found.positions, found.findings[0].text) == (
        [(2, 8)],
        "byte 19 (0xff) is not UTF-8: save the file in UTF-8",
    )


def test_the_one_file_program_has_its_schemas() -> None:
    """They lie in the archive behind it."""
    program = ROOT / "dist/pyrunc"
    sources = [*(ROOT / "spec").glob("*.json"), ROOT / "pyrunc/onefile/archive.py", ROOT / "pyrunc/config/schema.py"]
    if not program.exists() or program.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        pytest.skip("needs dist/pyrunc of these sources (make binary)")
    done = subprocess.run(
        [program, "validate", "-b", "-"], input="{}", capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.splitlines()[0].startswith("<stdin>:1:1: /ociVersion: is missing"), done.stderr


# --host


def on(host: Host, config: Json, look: Any, bundle: str = "/nonexistent") -> "list[tuple[str, str]]":
    from pyrunc.config.fields import Config

    found: list[Finding] = list(look(Config(config, bundle), host))
    return [(one.pointer, one.text) for one in found]


def test_an_old_kernel() -> None:
    host = Host(kernel=(5, 10))
    assert on(host, RICH, host_checks.kernel) == [("", "Linux 5.10 is too old: pyrunc needs 5.12 or newer")]
    assert on(ideal(), RICH, host_checks.kernel) == []


def test_labels_without_a_security_module() -> None:
    assert on(Host(), RICH, host_checks.labels) == [
        ("/process/apparmorProfile", "AppArmor is not on"),
        ("/process/selinuxLabel", "SELinux is not on"),
    ]


def test_capabilities_that_the_kernel_lacks() -> None:
    """CAP_CHECKPOINT_RESTORE came with Linux 5.9."""
    config = changed(process__capabilities={"bounding": ["CAP_KILL", "CAP_CHECKPOINT_RESTORE"]})
    found = on(Host(last_cap=39), config, host_checks.rights)
    assert found == [("/process/capabilities/bounding/1", "this kernel does not know it: it is left out")]


def test_files_that_are_not_there(tmp_path: Path) -> None:
    config = changed(mounts=[{"destination": "/a", "source": "b", "options": ["bind"]}])
    config["hooks"] = {"poststop": [{"path": "/nonexistent/hook"}], "startContainer": [{"path": "/nonexistent/inside"}]}
    assert on(ideal(), config, host_checks.files, str(tmp_path)) == [
        ("/root/path", f'"{tmp_path}/rootfs" is no folder'),
        ("/mounts/0/source", f'"{tmp_path}/b" is not there'),
        ("/hooks/poststop/0/path", '"/nonexistent/hook" is not there'),
    ]
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "b").mkdir()
    assert on(ideal(), config | {"hooks": {}}, host_checks.files, str(tmp_path)) == []


def test_an_id_map_on_a_filesystem_without() -> None:
    config = changed(mounts=[{"destination": "/proc", "type": "proc", "options": ["idmap"]}])
    found = on(ideal(), config, host_checks.filesystems)
    assert found == [("/mounts/0", "mounts of proc can be ID-mapped not at all")]


def test_what_this_machine_lacks() -> None:
    """Processors, interfaces and parameters that no machine has."""
    config = changed(linux__resources={"cpu": {"cpus": "0,8190"}})
    config["linux"]["sysctl"] = {"net.nonexistent": "1"}
    config["linux"]["netDevices"] = {"nonexistent0": {}}
    assert [pointer for pointer, _ in on(ideal(), config, host_checks.machine)] == ["/linux/resources/cpu/cpus"]
    assert [pointer for pointer, _ in on(ideal(), config, host_checks.kernel_files)] == [
        "/linux/sysctl/net.nonexistent",
        "/linux/netDevices/nonexistent0",
    ]


def test_an_ordinary_user_without_a_user_namespace() -> None:
    found = on(Host(uid=1000), template(), host_checks.namespaces)
    assert [pointer for pointer, _ in found] == ["/linux/namespaces"]


def test_a_controller_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """On cgroup v2 without any, and what v2 has nothing like."""
    monkeypatch.setattr(host_checks, "hierarchies", lambda: ("v2", []))
    monkeypatch.setattr(host_checks, "_text", lambda _: "cpu pids")
    limits = {"memory": {"limit": 1 << 20, "swappiness": 5}, "pids": {"limit": 5}, "cpu": {"shares": 5, "cpus": "0"}}
    assert on(ideal(), changed(linux__resources=limits), host_checks.limits) == [
        ("/linux/resources/memory/swappiness", "cgroup v2, which this host has, has nothing like it"),
        ("/linux/resources/memory/limit", "the controller memory is missing in cgroup v2 of this host"),
        ("/linux/resources/cpu/cpus", "the controller cpuset is missing in cgroup v2 of this host"),
    ]


def test_what_follows_is_not_reported_of_a_host_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """On cgroup v2 a limit of swap needs one of memory, which is there, but wrong."""
    monkeypatch.setattr(host_checks, "hierarchies", lambda: ("v2", []))
    config = changed(linux__resources={"memory": {"limit": "1G", "swap": 1 << 30}})
    found = [one.pointer for one in check(config, set(), host=ideal()) if one.pointer.startswith("/linux/resources")]
    assert found == ["/linux/resources/memory/limit"]


def test_host_findings_are_marked(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(template()), "utf-8")
    done = validate("--host", "--json", cwd=tmp_path)
    rows = [row for row in json.loads(done.stdout)["findings"] if row["pointer"] == "/root/path"]
    assert [(row["host"], row["requirement"]) for row in rows] == [(True, "SPEC-008")]
    assert validate(cwd=tmp_path).returncode == 0
