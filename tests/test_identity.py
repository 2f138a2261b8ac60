# SPDX-License-Identifier: Apache-2.0
"""plan/user.py, rlimits.py, uts.py, sysctl.py: the small concerns, as lines of a program."""

from errno import EPERM

import pytest

from pyrunc.config.fields import Config
from pyrunc.errors import ConfigError
from pyrunc.linux import sysctls
from pyrunc.linux.host import Host
from pyrunc.plan import rlimits, sysctl, user, uts
from pyrunc.plan.program import Program

UNLIMITED = (1 << 64) - 1


def lines(program: Program) -> list[str]:
    """The listing, as `call  origin`."""
    return ["  ".join(line.split(maxsplit=1)[1].rsplit(maxsplit=1)) for line in program.listing()]


def process(**fields: object) -> Config:
    return Config({"process": fields}, "/b")


def test_another_user() -> None:
    """Groups before the group before the user, each with its field; capabilities stay for capset(2)."""
    program = Program()
    user.identity(process(user={"uid": 1000, "gid": 100, "additionalGids": [10, 20]}), Host(), program)
    calls = [(op.name, op.operands[:3], op.origin, op.accept) for op in program.ops]
    assert [call[0] for call in calls] == ["prctl", "setgroups", "setresgid", "setresuid", "prctl"]
    assert calls[0][1] == (8, 1, 0)
    assert calls[2][1:] == ((100, 100, 100), "/process/user/gid", ())
    assert calls[3][1:] == ((1000, 1000, 1000), "/process/user/uid", ())
    assert calls[4][1] == (4, 0, 0)
    assert lines(program)[1] == "setgroups(2, {10, 20})  /process/user/additionalGids"


@pytest.mark.parametrize("data", [{}, {"process": {}}, {"process": {"user": {"uid": 0, "gid": 0}}}])
def test_root_has_no_groups(data: dict[str, object]) -> None:
    """The caller's groups go (SPEC-131); nothing is kept over a change of user that is none."""
    program = Program()
    user.identity(Config(data, "/b"), Host(), program)
    assert [op.name for op in program.ops] == ["setgroups", "setresgid", "setresuid", "prctl"]
    assert lines(program)[0] == "setgroups(0, NULL)  /process/user/additionalGids"


@pytest.mark.parametrize(
    ("host", "namespace", "accept"),
    [
        (Host(), None, ()),
        (Host(), {"type": "user"}, ()),
        (Host(), {"type": "user", "path": "/proc/1/ns/user"}, (EPERM,)),
        (Host(uid=1000), {"type": "user"}, (EPERM,)),
        (Host(own_ids=True), None, (EPERM,)),
    ],
)
def test_only_a_user_namespace_may_forbid_groups(
    host: Host, namespace: dict[str, str] | None, accept: tuple[int, ...]
) -> None:
    """Where root cannot set groups, something is wrong."""
    program = Program()
    config = Config({"linux": {"namespaces": [namespace] if namespace else []}}, "/b")
    user.identity(config, host, program)
    assert program.ops[0].accept == accept


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"uid": 0, "gid": 0, "umask": 0}, "umask(0)  /process/user/umask"),
        ({"uid": 0, "gid": 0, "umask": 0o77}, "umask(077)  /process/user/umask"),
        ({"uid": 0, "gid": 0}, "umask(022)"),
    ],
)
def test_umask(fields: dict[str, int], line: str) -> None:
    program = Program()
    user.umask(process(user=fields), Host(), program)
    assert "  ".join(program.listing()[0].split()[1:]) == line


LIMITS = [
    {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": UNLIMITED},
    {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
]


def test_limits_are_set_by_the_process() -> None:
    program = Program()
    rlimits.compile(process(rlimits=LIMITS), Host(), program)
    assert [op.operands[1] for op in program.ops] == [7, 4]
    assert "{soft=1024, hard=unlimited}, NULL)  /process/rlimits/0" in lines(program)[0]
    assert rlimits.outside(process(rlimits=LIMITS), Host()) == []


def test_limits_of_a_user_namespace_are_set_from_outside() -> None:
    """CAP_SYS_RESOURCE counts in the initial user namespace only; an ordinary user has it nowhere."""
    config = Config({"process": {"rlimits": LIMITS}, "linux": {"namespaces": [{"type": "user"}]}}, "/b")
    program = Program()
    rlimits.compile(config, Host(), program)
    assert program.ops == []
    assert rlimits.outside(config, Host()) == [
        (7, 1024, UNLIMITED, "/process/rlimits/0"),
        (4, 0, 0, "/process/rlimits/1"),
    ]
    rlimits.compile(config, Host(uid=1000), program)
    assert len(program.ops) == 2
    assert rlimits.outside(config, Host(uid=1000)) == []


def test_names() -> None:
    program = Program()
    uts.compile(Config({"hostname": "böx", "domainname": ""}, "/b"), Host(), program)
    uts.compile(Config({"domainname": "d"}, "/b"), Host(), program)
    assert [(op.name, op.operands, op.origin) for op in program.ops] == [
        ("sethostname", ("böx", 4), "/hostname"),
        ("setdomainname", ("d", 1), "/domainname"),
    ]


def test_a_sysctl_is_written_beneath_a_private_procfs() -> None:
    """[cve-2025-52881-proc-overmount-sysctl]: no link, no other mount, nothing but the file itself."""
    program = Program()
    config = Config({"linux": {"sysctl": {"net.ipv4.conf.eth0/1.rp_filter": "2"}}}, "/b")
    sysctl.compile(config, Host(), program, program.input("proc"))
    origin = "/linux/sysctl/net.ipv4.conf.eth0~11.rp_filter"
    how = (
        "{flags=O_CLOEXEC|O_WRONLY, resolve=RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_XDEV}"
    )
    assert lines(program) == [
        f'sysctl = openat2(<proc>, "sys/net/ipv4/conf/eth0.1/rp_filter", {how}, 24)  {origin}',
        f'write(sysctl, "2", 1)  {origin}',
        f"close(sysctl)  {origin}",
    ]


def test_what_is_no_name_never_becomes_a_path() -> None:
    program = Program()
    config = Config({"linux": {"sysctl": {"net/../kernel/x": "2"}}}, "/b")
    with pytest.raises(ConfigError):
        sysctl.compile(config, Host(), program, program.input("proc"))


@pytest.mark.parametrize(
    ("name", "path", "namespace"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward", "network"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward", "network"),
        ("net.ipv4.conf.eno2/100.rp_filter", "net/ipv4/conf/eno2.100/rp_filter", "network"),
        ("net/ipv4/conf/eno2.100/rp_filter", "net/ipv4/conf/eno2.100/rp_filter", "network"),
        ("kernel.sem", "kernel/sem", "ipc"),
        ("fs.mqueue.msg_max", "fs/mqueue/msg_max", "ipc"),
        ("user.max_net_namespaces", "user/max_net_namespaces", "user"),
        ("kernel.domainname", "kernel/domainname", "uts"),
        ("kernel.semaphore", "kernel/semaphore", None),
        ("netx.a", "netx/a", None),
        ("kernel", "kernel", None),
        ("net.a/../b", None, None),
        ("net/../b", None, None),
        ("net...b", None, None),
        ("/net/b", None, None),
        ("net.b.", None, None),
        ("net.\N{CYRILLIC SMALL LETTER A}", None, None),
        ("net.a\n", None, None),
        ("", None, None),
    ],
)
def test_sysctl_names(name: str, path: str | None, namespace: str | None) -> None:
    """sysctl(8): the first separator of a name is its separator, and the other is a part of a component."""
    assert sysctls.path(name) == path
    if path is not None:
        assert sysctls.namespace(path) == namespace
