# SPDX-License-Identifier: Apache-2.0
"""config/validate.py: one row for each rule, with the pointer that the error must have."""

import copy
import json
import os
from zlib import crc32

import pytest

from pyrunc.config import process_rules
from pyrunc.config.fields import Config, Section
from pyrunc.config.validate import rootless, validate
from pyrunc.errors import ConfigError
from pyrunc.linux.host import Host

HOST = Host()
NAMESPACES = ("pid", "network", "mount", "ipc", "uts", "cgroup")
BASE: dict[str, object] = {
    "ociVersion": "1.2.0",
    "root": {"path": "rootfs", "readonly": True},
    "process": {"cwd": "/", "args": ["sh"], "env": ["PATH=/bin", "EMPTY="], "user": {"uid": 0, "gid": 0}},
    "hostname": "box",
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]}],
    "linux": {"namespaces": [{"type": word} for word in NAMESPACES]},
}
ABSENT = object()


def config(*changes: tuple[str, object]) -> Config:
    """BASE with the values at JSON pointers replaced, made, or (ABSENT) removed; "-" is the end of an array."""
    data = copy.deepcopy(BASE)
    for pointer, value in changes:
        *path, last = pointer[1:].split("/")
        place: object = data
        for key in path:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})  # type: ignore[attr-defined]
        if isinstance(place, list):
            place.append(copy.deepcopy(value)) if last == "-" else place.__setitem__(int(last), copy.deepcopy(value))
        elif value is ABSENT:
            del place[last]  # type: ignore[attr-defined]
        else:
            place[last] = copy.deepcopy(value)  # type: ignore[index]
    return Config(data, "/bundle")


def without(*words: str) -> tuple[str, object]:
    return "/linux/namespaces", [{"type": word} for word in NAMESPACES if word not in words]


def label(value: object) -> str:
    text = json.dumps(value, default=lambda _: "absent")
    return text if len(text) < 70 else f"{text[:70]} {crc32(text.encode()):x}"


def test_the_base_is_right() -> None:
    assert validate(config(), HOST) == []


def test_the_least_that_the_specification_asks_for() -> None:
    """Its own example of a good file: no process, no namespaces."""
    assert validate(Config({"ociVersion": "1.0.0", "root": {"path": "rootfs"}}, "/b"), HOST) == []


USER = ("/linux/namespaces/-", {"type": "user"})
ROW = {"containerID": 0, "hostID": 100000, "size": 65536}
MAPPINGS = (USER, ("/linux/uidMappings", [ROW]), ("/linux/gidMappings", [ROW]))
LONG = "x" * 65


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        # config.md
        ([("/ociVersion", ABSENT)], "/ociVersion", "is required"),
        ([("/ociVersion", 1)], "/ociVersion", "must be a string"),
        *(
            ([("/ociVersion", version)], "/ociVersion", "SemVer")
            for version in (
                "",
                "1",
                "1.0",
                "1.0.0.0",
                "01.0.0",
                "1.0.x",
                "1.0.0-",
                "1.0.0-01",
                "1.0.0+",
                "v1.0.0",
                "1.0.0-é",
            )
        ),
        ([("/ociVersion", "2.0.0")], "/ociVersion", "2.0.0 is not supported"),
        ([("/ociVersion", "0.9.0")], "/ociVersion", "0.9.0 is not supported"),
        ([("/root", ABSENT)], "/root", "is required"),
        ([("/root", [])], "/root", "must be an object"),
        ([("/root/path", ABSENT)], "/root/path", "is required"),
        ([("/root/path", "")], "/root/path", "must not be empty"),
        ([("/root/readonly", 1)], "/root/readonly", "must be true or false"),
        ([("/hostname", LONG)], "/hostname", "longer than 64 bytes"),
        ([("/domainname", "é" * 33)], "/domainname", "longer than 64 bytes"),
        ([without("uts")], "/hostname", "unable to set hostname without a private UTS namespace"),
        (
            [("/hostname", ABSENT), ("/domainname", "d"), without("uts")],
            "/domainname",
            "unable to set domainname without a private UTS namespace",
        ),
        ([("/annotations", {"": "x"})], "/annotations/", "must not be empty"),
        ([("/annotations", {"a": 1})], "/annotations/a", "must be a string"),
        # process
        ([("/process/args", ABSENT)], "/process/args", "must not be empty"),
        ([("/process/args", ["a", 1])], "/process/args/1", "must be a string"),
        ([("/process/cwd", ABSENT)], "/process/cwd", "is required"),
        ([("/process/cwd", "")], "/process/cwd", "must not be empty"),
        ([("/process/cwd", "tmp")], "/process/cwd", "must be an absolute path"),
        ([("/process/env/-", "X")], "/process/env/2", 'has no "="'),
        ([("/process/env/-", "=x")], "/process/env/2", "the name is empty"),
        ([("/process/user/uid", ABSENT)], "/process/user/uid", "is required"),
        ([("/process/user/gid", 4294967295)], "/process/user/gid", "out of range"),
        ([("/process/user/uid", -1)], "/process/user/uid", "out of range"),
        ([("/process/user/uid", True)], "/process/user/uid", "must be an integer, not a boolean"),
        ([("/process/user/uid", 1.0)], "/process/user/uid", "must be an integer, not a number"),
        ([("/process/user/umask", 0o1000)], "/process/user/umask", "out of range"),
        ([("/process/user/additionalGids", [1, 4294967295])], "/process/user/additionalGids/1", "must be an integer"),
        ([("/process/user/additionalGids", [1] * 65537)], "/process/user/additionalGids", "more than 65536"),
        ([("/process/rlimits", [{"type": "RLIMIT_X", "soft": 1, "hard": 1}])], "/process/rlimits/0/type", "unknown"),
        (
            [("/process/rlimits", [{"type": "RLIMIT_AS", "soft": 1, "hard": 1}] * 2)],
            "/process/rlimits/1/type",
            "RLIMIT_AS is given twice",
        ),
        (
            [("/process/rlimits", [{"type": "RLIMIT_AS", "soft": 2, "hard": 1}])],
            "/process/rlimits/0/soft",
            "hard limit",
        ),
        ([("/process/rlimits", [{"type": "RLIMIT_AS", "soft": 2}])], "/process/rlimits/0/hard", "is required"),
        ([("/process/rlimits", [{"type": "RLIMIT_AS", "soft": -1}])], "/process/rlimits/0/soft", "out of range"),
        ([("/process/terminal", "yes")], "/process/terminal", "must be true or false"),
        (
            [("/process/terminal", True), ("/process/consoleSize", {"height": 1})],
            "/process/consoleSize/width",
            "is required",
        ),
        ([("/process/noNewPrivileges", 0)], "/process/noNewPrivileges", "must be true or false"),
        ([("/process/oomScoreAdj", 1001)], "/process/oomScoreAdj", "out of range"),
        ([("/process/capabilities", {"bounding": "CAP_KILL"})], "/process/capabilities/bounding", "must be an array"),
        # mounts and hooks
        ([("/mounts/0/destination", ABSENT)], "/mounts/0/destination", "is required"),
        ([("/mounts/0/destination", "")], "/mounts/0/destination", "must not be empty"),
        ([("/mounts/0/options", "ro")], "/mounts/0/options", "must be an array"),
        ([("/mounts/0/type", "bind")], "/mounts/0/type", "options have neither bind nor rbind"),
        ([("/mounts/0/type", ABSENT)], "/mounts/0/type", "options have neither bind nor rbind"),
        (
            [("/mounts/0", {"destination": "/a", "options": ["bind"]})],
            "/mounts/0/source",
            "is required for a bind mount",
        ),
        (
            [("/mounts/0/options", ["rbind", "mode=700"])],
            "/mounts/0/options",
            '"mode": bind mounts cannot have any filesystem-specific options applied',
        ),
        ([("/hooks/poststop", [{"path": "x"}])], "/hooks/poststop/0/path", "must be an absolute path"),
        ([("/hooks/prestart", [{}])], "/hooks/prestart/0/path", "is required"),
        ([("/hooks/prestart", {})], "/hooks/prestart", "must be an array"),
        ([("/hooks/createRuntime", [{"path": "/x", "timeout": 0}])], "/hooks/createRuntime/0/timeout", "out of range"),
        ([("/hooks/poststart", [{"path": "/x", "env": [1]}])], "/hooks/poststart/0/env/0", "must be a string"),
        # linux
        ([("/linux/namespaces/-", {"type": "disk"})], "/linux/namespaces/6/type", 'namespace "disk" does not exist'),
        ([("/linux/namespaces/-", {})], "/linux/namespaces/6/type", "is required"),
        ([("/linux/namespaces/-", {"type": "pid"})], "/linux/namespaces/6/type", 'duplicated namespace "pid"'),
        ([("/linux/namespaces/0/path", "ns")], "/linux/namespaces/0/path", "must be an absolute path"),
        ([without("mount"), ("/linux/maskedPaths", ["/proc/x"])], "/linux/maskedPaths", "private MNT namespace"),
        ([without("mount"), ("/linux/readonlyPaths", ["/proc/x"])], "/linux/readonlyPaths", "private MNT namespace"),
        (
            [without("mount"), ("/linux/rootfsPropagation", "slave")],
            "/linux/rootfsPropagation",
            "private MNT namespace",
        ),
        ([without("mount")], "/mounts", "unable to mount without a private MNT namespace"),
        ([without("mount"), ("/mounts", [])], "/root/readonly", "unable to mount without a private MNT namespace"),
        ([("/linux/uidMappings", [ROW])], "/linux/uidMappings", "user namespace isn't enabled in the config"),
        ([USER, ("/linux/gidMappings", [ROW])], "/linux/uidMappings", "is required"),
        ([*MAPPINGS[:2]], "/linux/gidMappings", "is required"),
        ([*MAPPINGS, ("/linux/gidMappings/0/size", 0)], "/linux/gidMappings/0/size", "out of range"),
        ([*MAPPINGS, ("/linux/uidMappings/0/hostID", 4294967294)], "/linux/uidMappings/0/size", "beyond the last id"),
        ([*MAPPINGS, ("/linux/uidMappings", [ROW] * 341)], "/linux/uidMappings", "more than 340"),
        ([("/linux/devices", [{"type": "x", "path": "/dev/x"}])], "/linux/devices/0/type", "invalid device type"),
        ([("/linux/devices", [{"type": "p"}])], "/linux/devices/0/path", "is required"),
        ([("/linux/devices", [{"type": "p", "path": "x"}])], "/linux/devices/0/path", "must be an absolute path"),
        ([("/linux/devices", [{"type": "c", "path": "/x"}])], "/linux/devices/0/major", "is required"),
        ([("/linux/devices", [{"type": "b", "path": "/x", "major": 1}])], "/linux/devices/0/minor", "is required"),
        (
            [("/linux/devices", [{"type": "p", "path": "/x", "uid": 4294967295}])],
            "/linux/devices/0/uid",
            "out of range",
        ),
        ([("/linux/cgroupsPath", "/a/../b")], "/linux/cgroupsPath", '".."'),
        ([("/linux/cgroupsPath", "/a\nb")], "/linux/cgroupsPath", "control characters"),
        ([("/linux/resources", [])], "/linux/resources", "must be an object"),
        ([("/linux/seccomp", "x")], "/linux/seccomp", "must be an object"),
        ([("/linux/rootfsPropagation", "ro")], "/linux/rootfsPropagation", '"ro" is not supported'),
        ([("/linux/rootfsPropagation", "public")], "/linux/rootfsPropagation", '"public" is not supported'),
        ([("/linux/maskedPaths", ["/a", "b"])], "/linux/maskedPaths/1", "must be an absolute path"),
        ([("/linux/readonlyPaths", [""])], "/linux/readonlyPaths/0", "must be an absolute path"),
    ],
    ids=label,
)
def test_is_refused(changes: list[tuple[str, object]], pointer: str, words: str) -> None:
    """With the pointer of the field and the words of the rule."""
    with pytest.raises(ConfigError) as caught:
        validate(config(*changes), HOST)
    assert caught.value.pointer == pointer
    assert words in caught.value.cause


@pytest.mark.parametrize(
    "changes",
    [
        *([("/ociVersion", version)] for version in ("1.0.0", "1.0.0-rc5", "1.0.2-dev", "1.3.9", "1.1.0+dev.a-1")),
        [("/process", ABSENT)],
        [("/process/user", ABSENT)],
        [("/process/consoleSize", {"height": -1})],
        [("/process/terminal", True), ("/process/consoleSize", {"height": 0, "width": 0})],
        [("/process/rlimits", [{"type": "RLIMIT_CORE", "soft": 0, "hard": (1 << 64) - 1}])],
        [("/process/apparmorProfile", "unconfined")],
        [("/process/apparmorProfile", ""), ("/process/selinuxLabel", ""), ("/linux/mountLabel", "")],
        [("/process/scheduler", None), ("/linux/netDevices", {}), ("/linux/resources/cpu/realtimeRuntime", 0)],
        [("/hostname", ""), ("/domainname", None), without("uts")],
        [("/hostname", "x" * 64)],
        [("/mounts/0", {"destination": "/a", "source": "b", "options": ["bind", "", "ro"]})],
        [("/hooks", {"prestart": [{"path": "/x", "args": ["x"], "timeout": 1}], "other": 1})],
        [("/annotations", {"org.opencontainers.image.stopSignal": "", "x": "y"})],
        [without("mount"), ("/mounts", []), ("/root/readonly", False)],
        [("/linux/namespaces/0/path", "/proc/1/ns/pid")],
        [*MAPPINGS],
        [USER],
        [("/linux/namespaces/-", {"type": "user", "path": "/proc/1/ns/user"})],
        [*MAPPINGS, ("/linux/namespaces/6/path", "/proc/1/ns/user")],
        [("/linux/devices", [{"type": "c", "path": "/x", "major": 1, "minor": 3, "fileMode": 8624}])],
        [("/linux/devices", [{"type": "p", "path": "/x"}])],
        [("/linux/cgroupsPath", "system.slice:docker:abc")],
        [("/linux/rootfsPropagation", "rshared"), ("/linux/maskedPaths", ["/proc/kcore"])],
        [("/solaris", 1), ("/windows", {"x": []}), ("/vm", 0), ("/zos", ""), ("/freebsd", {}), ("/new", {"a": 1})],
        [("/process/new", 1), ("/linux/new", 1), ("/mounts/0/new", 1), ("/root/new", 1)],
    ],
    ids=label,
)
def test_is_accepted(changes: list[tuple[str, object]]) -> None:
    """Nothing to say about it: unknown properties and the objects of other platforms are ignored (SPEC-165)."""
    assert validate(config(*changes), HOST) == []


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ([("/ociVersion", "1.9.0")], "/ociVersion: 1.9.0 is newer than 1.3.0: what it adds is ignored"),
        (
            [("/mounts/0/destination", "proc")],
            "/mounts/0/destination: a relative path is deprecated, it is taken as relative to /",
        ),
        (
            [
                (
                    "/linux/devices",
                    [{"type": "c", "path": path, "major": 1, "minor": 3} for path in ("/dev/null", "/x", "/x")],
                )
            ],
            "/linux/devices/1: /x is the same device as /dev/null",
        ),
        (
            [("/process/capabilities", {"bounding": ["CAP_KILL", "CAP_FLY"], "effective": ["CAP_KILL", "chown"]})],
            "ignoring unknown or unavailable capabilities: CAP_FLY CAP_KILL chown",
        ),
    ],
    ids=label,
)
def test_is_warned_of(changes: list[tuple[str, object]], warning: str) -> None:
    """Warnings are values: they change nothing (runtime.md#warnings)."""
    assert warning in validate(config(*changes), HOST)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (("/mounts/0/uidMappings", [ROW]), "/mounts/0/uidMappings"),
        (("/mounts/0/gidMappings", [ROW]), "/mounts/0/gidMappings"),
        (("/mounts/0/options/-", "ridmap"), "/mounts/0/options/1"),
        (("/linux/intelRdt", {"closID": "a/b"}), "/linux/intelRdt/closID"),
        (("/linux/intelRdt", {"memBwSchema": "L3:0=1"}), "/linux/intelRdt/memBwSchema"),
        (("/linux/intelRdt", {"schemata": ["MB:0=1", "L3:0=1\n"]}), "/linux/intelRdt/schemata/1"),
        (("/linux/netDevices", {"a b": {}}), "/linux/netDevices/a b"),
        (("/linux/timeOffsets", {"monotonic": {}}), "/linux/timeOffsets"),
    ],
)
def test_what_cannot_be_is_refused(change: tuple[str, object], pointer: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(config(change), HOST)
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kernel.sysrq", "is not in a separate kernel namespace"),
        ("vm.swappiness", "is not in a separate kernel namespace"),
        ("kernel.hostname", "conflicts with the field hostname"),
        ("net/../kernel/sysrq", "is not the name of a sysctl"),
        ("net..ipv4", "is not the name of a sysctl"),
        ("", "is not the name of a sysctl"),
        ("net.ipv4 .x", "is not the name of a sysctl"),
        ("user.max_user_namespaces", "is not allowed in the user namespace of the host"),
    ],
)
def test_sysctls_of_the_host_are_refused(name: str, words: str) -> None:
    """[sysctl-name-traversal], SPEC-292."""
    with pytest.raises(ConfigError, match=words) as caught:
        validate(config(("/linux/sysctl", {name: "1"})), HOST)
    assert caught.value.pointer == "/linux/sysctl/" + name.replace("/", "~1")


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("net.ipv4.ip_forward", "network"),
        ("net/ipv4/conf/eth0.1/rp_filter", "network"),
        ("kernel.shm_rmid_forced", "ipc"),
        ("kernel/sem", "ipc"),
        ("fs.mqueue.msg_max", "ipc"),
        ("kernel.domainname", "uts"),
    ],
)
def test_sysctls_need_their_namespace(name: str, owner: str) -> None:
    change = ("/linux/sysctl", {name: "1"})
    assert validate(config(change), HOST) == []
    with pytest.raises(ConfigError, match=f"is not allowed in the {owner} namespace of the host"):
        validate(config(("/hostname", ""), without(owner), change), HOST)


def test_the_hosts_network_by_path_is_the_hosts() -> None:
    """A path to the caller's own namespace makes nothing private."""
    sysctl = ("/linux/sysctl", {"net.ipv4.ip_forward": "1"})
    with pytest.raises(ConfigError, match="network namespace of the host"):
        validate(config(("/linux/namespaces/1/path", f"/proc/{os.getpid()}/ns/net"), sysctl), HOST)
    assert validate(config(("/linux/namespaces/1/path", "/run/netns/none"), sysctl), HOST) == []


def test_a_sysctl_is_one_line() -> None:
    with pytest.raises(ConfigError, match="must be one line"):
        validate(config(("/linux/sysctl", {"kernel.msgmax": "1\n2"})), HOST)


def test_an_ordinary_user_needs_a_user_namespace() -> None:
    rootless(config(), HOST)
    rootless(config(*MAPPINGS), Host(uid=1000))
    with pytest.raises(ConfigError, match="rootless container requires user namespaces"):
        rootless(config(), Host(uid=1000))


def test_a_process_of_its_own_has_its_own_pointers() -> None:
    """`exec --process`: the file is the object."""
    with pytest.raises(ConfigError) as caught:
        process_rules.check(Section({"args": ["x"], "cwd": "x"}))
    assert caught.value.pointer == "/cwd"
