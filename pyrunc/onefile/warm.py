# SPDX-License-Identifier: Apache-2.0
"""What each call computes, computed some times while dist/pyrunc is built, on a host that does not exist.

CPython specialises the code that runs often (PEP 659) and makes some tables when they are first asked for; the snapshot
keeps both. Nothing here asks the kernel for anything: no fact of the machine that builds may be in the snapshot.
"""

from pyrunc.cgroups.resources import writes
from pyrunc.cli.parse import parse as parse_words
from pyrunc.cli.parse import split
from pyrunc.commands import create
from pyrunc.config.dump import dump
from pyrunc.config.fields import Config
from pyrunc.config.load import parse
from pyrunc.config.template import template
from pyrunc.config.validate import rootless, validate
from pyrunc.container.exec import ExecRequest
from pyrunc.container.exec_process import process_of
from pyrunc.container.launch import _tail, resources
from pyrunc.linux.host import Host
from pyrunc.plan.compile import Choices, container, process
from pyrunc.plan.namespaces import Namespaces
from pyrunc.state.record import Record, from_bytes

_ROUNDS = 24
"""A function is specialised from its 8th call on, and what is tried in vain is tried more rarely each time."""

_BIND = {"destination": "/data", "type": "bind", "source": "/data", "options": ["rbind", "rprivate", "ro", "nosuid"]}
_LIMITS = {
    "memory": {"limit": 1 << 28},
    "cpu": {"shares": 512, "quota": 50_000, "period": 100_000},
    "pids": {"limit": 9},
}
_CALLS = (
    ("--root", "/r", "--log", "/l", "--log-format", "json", "create", "--bundle", "/b", "--pid-file", "/p", "warm"),
    ("--root", "/r", "--systemd-cgroup", "run", "--bundle", "/b", "warm"),
    ("--root", "/r", "start", "warm"),
    ("--root", "/r", "state", "warm"),
    ("--root", "/r", "kill", "--all", "warm", "KILL"),
    ("--root", "/r", "delete", "--force", "warm"),
    ("--root", "/r", "exec", "--detach", "--process", "/p", "--pid-file", "/f", "warm"),
    ("--root", "/r", "exec", "--cwd", "/", "--env", "A=B", "warm", "/bin/true", "-x"),
)


def warm() -> None:
    """All of it; an error of any part is an error of the build."""
    config = template()
    text = dump(config | {"annotations": {"org.example.name": "value"}}).encode("ascii")
    for number in range(_ROUNDS):
        _create(text, number)
        for words in _CALLS:
            options, rest = split([*words])
            call = parse_words(options, rest)
            if call.command.name == "create":
                create.options(call.values)


def _host(mode: str) -> Host:
    rows: tuple[tuple[str, str, str, str], ...] = (("", "rw,nsdelegate", "/sys/fs/cgroup", "/warm"),)
    if mode == "v1":
        rows = tuple((name, name, f"/sys/fs/cgroup/{name}", "/warm") for name in ("cpu,cpuacct", "memory", "pids"))
    null = (0o020666, 0x103, 0)
    return Host(stdio=(null, null, null), cgroup_mode=mode, cgroups=rows)


def _create(text: bytes, number: int) -> None:
    """What create does between its reading of config.json and its first effect, and exec after it."""
    config = Config(parse(text), "/warm")
    described = config.require("process").data
    described["terminal"] = number % 4 == 0
    config.array("mounts").extend(_BIND | {"destination": f"/data/{place}"} for place in range(number % 3))
    config.require("linux").require("resources").data.update(_LIMITS)
    host = _host("v1" if number % 4 == 1 else "v2")
    validate(config, host)
    rootless(config, host)
    writes(resources(config), v2=number % 4 != 1)
    program = container(config, host, Choices(keyring="_ses.warm"))
    program.encode(dict.fromkeys(program.inputs, 9), 4, 5)
    wanted = Namespaces(config)
    record = Record(
        id="warm",
        bundle=config.bundle,
        rootfs="/warm/rootfs",
        oci_version=config.text("ociVersion"),
        manager="cgroupfs",
        cgroup={"mode": "v2", "paths": {"": "/sys/fs/cgroup/warm"}, "made": ["/sys/fs/cgroup/warm"]},
        annotations=config.strings("annotations"),
        own_pids=wanted.private("pid"),
        hooks=[],
        has_process=True,
        created="2000-01-01T00:00:00.5Z",
        owner=0,
        pid=2,
        start=1,
        boot="none",
        pipes=["", "", ""],
        tail=_tail(program),
    )
    from_bytes(record.to_bytes())
    dump(config.data)
    request = ExecRequest(args=["/bin/true"], env=["A=B"], tty=number % 4 == 0)
    config = Config({**config.data, "process": process_of(config, request)}, config.bundle)
    validate(config, host)
    program = process(config, host, Choices(keyring="_ses.warm"), 0x2C020000)
    program.encode(dict.fromkeys(program.inputs, 9), 4, 5)
