# SPDX-License-Identifier: Apache-2.0
"""The profiles that docker, podman and containerd's CRI gave a runtime (fixtures/seccomp) do what they say."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyrunc.config.fields import Section
from pyrunc.errors import HostError
from pyrunc.linux.seccomp_rows import BPF_MAXINSNS
from pyrunc.seccomp import filter
from tests.sockfilter import ALLOW, ERRNO, KILL, KILL_PROCESS, X32, X86, X86_64, run

try:
    LIBRARY = filter.load()
except HostError as error:
    pytest.skip(str(error), allow_module_level=True)

PROFILES = sorted((Path(__file__).parent / "fixtures" / "seccomp").glob("*.json"))
EPERM, EINVAL, ENOSYS = ERRNO | 1, ERRNO | 22, ERRNO | 38
CONDITIONS: dict[str, Callable[[int, int, int], bool]] = {
    "SCMP_CMP_NE": lambda given, value, _: given != value,
    "SCMP_CMP_EQ": lambda given, value, _: given == value,
    "SCMP_CMP_MASKED_EQ": lambda given, value, two: given & value == two,
}
ARGUMENTS = ((0, 0, 0), (8, 0, 0), (40, 1, 0), (16, 3, 9), (16, 3, 0), (2, 1, 9), (0x20000, 0, 0), (0x7E020000, 0, 0))


def number(name: str, arch: int = X86_64) -> int:
    return int(LIBRARY.seccomp_syscall_resolve_name_arch(arch, name.encode()))


def read(path: Path) -> dict[str, list[dict[str, list[str]]]]:
    data: dict[str, list[dict[str, list[str]]]] = json.loads(path.read_text())
    return data


@pytest.fixture(params=PROFILES, ids=lambda path: path.stem, scope="module")
def profile(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture(scope="module")
def bpf(profile: Path) -> bytes:
    return filter.compile(Section({**read(profile)}, "/linux/seccomp"))


def test_the_kernel_would_take_it(bpf: bytes) -> None:
    assert len(bpf) % 8 == 0
    assert 0 < len(bpf) // 8 <= BPF_MAXINSNS


def test_everyday_calls_are_allowed_and_mounting_is_not(profile: Path, bpf: bytes) -> None:
    denied = ENOSYS if "podman-5019" in profile.stem else EPERM
    for arch, audit in ((X86_64, X86_64), (X86, X86)):
        for name in ("read", "write", "execve", "exit_group"):
            assert run(bpf, audit, number(name, arch)) == ALLOW
        for name in ("init_module", "bpf", "swapon", "kexec_load"):
            assert run(bpf, audit, number(name, arch)) == denied
    # podman's profile has mount for all, without the capability it is of no use
    assert run(bpf, X86_64, number("mount")) == (ALLOW if profile.stem in PODMAN_DEFAULT else denied)


PODMAN_DEFAULT = ("podman-8eb112eb", "podman-b8a57dbb")


def test_calls_of_the_future_do_not_exist(bpf: bytes) -> None:
    for arch in (X86_64, X86):
        assert run(bpf, arch, 9999) == ENOSYS


def test_a_foreign_architecture_ends_the_process(profile: Path, bpf: bytes) -> None:
    assert run(bpf, 0x80000016, 4) == KILL
    x32 = number("read", X32)
    assert run(bpf, X86_64, x32) == (KILL if "5019" in profile.stem else ALLOW)


def rules(profile: Path) -> Iterator[tuple[dict[str, object], str, int]]:
    for rule in json.loads(profile.read_text())["syscalls"]:
        for name in rule["names"]:
            if number(name) >= 0:
                yield rule, name, number(name)


def test_every_call_gets_what_a_plain_reading_of_the_profile_says(profile: Path, bpf: bytes) -> None:
    """x86_64, eight sets of arguments: the action of the first rule that matches, else the default."""
    data = json.loads(profile.read_text())
    default = ERRNO | data.get("defaultErrnoRet", 1)
    newest = max(call for _, _, call in rules(profile))
    by_call: dict[int, list[dict[str, object]]] = {call: [] for call in range(newest + 1)}
    for rule, _, call in rules(profile):
        by_call[call].append(rule)
    for call, mine in by_call.items():
        for arguments in ARGUMENTS:
            expected = next((result(rule) for rule in mine if matches(rule, arguments)), default)
            assert run(bpf, X86_64, call, *arguments) == expected, (call, arguments)


def result(rule: dict[str, object]) -> int:
    return {
        "SCMP_ACT_ALLOW": ALLOW,
        "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
        "SCMP_ACT_ERRNO": ERRNO | int(str(rule.get("errnoRet", 1))),
    }[str(rule["action"])]


def matches(rule: dict[str, object], given: tuple[int, ...]) -> bool:
    conditions = rule.get("args") or []
    assert isinstance(conditions, list)
    results = [CONDITIONS[c["op"]](given[c["index"]], c["value"], c.get("valueTwo", 0)) for c in conditions]
    repeated = len({c["index"] for c in conditions}) < len(conditions)
    return any(results) if repeated else all(results)


def test_conditions_of_the_recorded_profiles() -> None:
    """Namespaces by clone, vsock by docker, audit's netlink by podman: the rules that matter most."""
    path = {path.stem: path for path in PROFILES}
    docker = filter.compile(Section({**read(path["docker-372766e9"])}))
    clone_newuser, vsock = 0x10000000, 40
    assert run(docker, X86_64, number("clone"), clone_newuser | 17) == EPERM
    assert run(docker, X86_64, number("clone"), 17) == ALLOW
    assert run(docker, X86_64, number("clone3"), 0) == ENOSYS
    assert [run(docker, X86_64, number("socket"), family) for family in (vsock, 2)] == [EPERM, ALLOW]
    podman = filter.compile(Section({**read(path["podman-8eb112eb"])}))
    assert run(podman, X86_64, number("socket"), 16, 3, 9) == EINVAL
    assert run(podman, X86_64, number("socket"), 16, 3, 0) == ALLOW
