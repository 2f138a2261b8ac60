# SPDX-License-Identifier: Apache-2.0
"""The compiler: config.json and the facts of the host become a Program. The order of set-up is this module.

    container()  parent stage: descriptors, oom score, device filter, namespaces by path, clone
                 child stage:  ids, mounts, devices, terminal, hooks, pivot, names, sysctls, masks, identity
                 then:         wait for `start`, startContainer hooks, seccomp, execve
    process()    the same tail in a container that runs: `exec`

A module of a concern is imported only when its field is there.
"""

import errno

from pyrunc.config.fields import Config, Section
from pyrunc.linux.host import Host
from pyrunc.linux.uapi import (
    CLONE_NEWNET,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    PR_SET_DUMPABLE,
    PR_SET_NAME,
    PR_SET_PDEATHSIG,
)
from pyrunc.plan import calls, execve, namespaces, ops
from pyrunc.plan.filesystem import Filesystem
from pyrunc.plan.program import Op, Program, Struct, Within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SIGKILL = 9
_CLOSE_RANGE_CLOEXEC = 4
_ALL = 0xFFFFFFFF


class Choices:
    """What the caller of a verb chooses beside config.json.

    preserve_fds: descriptors from 3 on that the process keeps, but for the `gaps` between them. keyring: name of the
    session keyring, None for the caller's. no_pivot: move and chroot instead of pivot_root. bpf: the compiled
    linux.seccomp.
    """

    __slots__ = ("bpf", "gaps", "keyring", "no_pivot", "preserve_fds")

    def __init__(
        self,
        *,
        preserve_fds: int = 0,
        gaps: "Sequence[int]" = (),
        keyring: "str | None" = None,
        no_pivot: bool = False,
        bpf: bytes = b"",
    ) -> None:
        self.preserve_fds = preserve_fds
        self.gaps = gaps
        self.keyring = keyring
        self.no_pivot = no_pivot
        self.bpf = bpf


def container(config: Config, host: Host, choices: Choices) -> Program:
    """The program of `create`: it ends by waiting for `start` and executing process.args."""
    program = Program(host.machine)
    wanted = namespaces.Namespaces(config)
    new_user = wanted.new(CLONE_NEWUSER)
    process = config.section("process")
    command = execve.Command(process) if process is not None else None
    filesystem = Filesystem(config, host, wanted, command, no_pivot=choices.no_pivot)

    _begin(program, choices, dumpable=host.uid != 0 and new_user)
    if process is not None:
        _oom_score(process, host, program)
    maps = filesystem.map_ids(program)
    if filesystem.private and wanted.private("user") and host.copies_mounts():
        filesystem.open_sources(program)
    # Before a user namespace is joined: bpf(2) asks for rights in the initial one.
    _device_filter(config, host, program)
    late = namespaces.join(wanted, host, program)
    later = _own_clocks(config)
    namespaces.clone(wanted, config, host, program, later)

    program.call("prctl", PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    namespaces.enter_cgroups(program, host, late)
    if new_user:
        program.sync(ops.PREPARE, "prepare")
    if wanted.private("user"):
        namespaces.become_root(program, config, "/linux/uidMappings" if new_user else "/linux/namespaces")
        program.call("prctl", PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    namespaces.unshare_cgroup(wanted, program)
    _net_devices(config, program)
    proc = _procfs(config, host, program)
    if proc is not None and later:
        from pyrunc.plan import time_offsets

        time_offsets.compile(config, program, proc, foreign=wanted.private("user"))
    program.call("setsid")
    _session(process, program, choices, proc, loopback=wanted.new(CLONE_NEWNET))
    filesystem.make(program, proc)
    for fd in maps:
        program.call("close", fd)
    if process is None or command is None:
        _close(program, proc)
        program.call("prctl", PR_SET_PDEATHSIG, 0, 0, 0, 0)
        # start of a container without a process is an error of its own (runtime.md#start); until then it only waits.
        calls.end_hand_over(program)
        program.sync(ops.READY, "ready")
        execve.wait_for_start(program)
        return program
    _tail(config, command, host, program, choices, proc, filesystem.slave, filesystem.passwd, waits=True)
    return program


def process(config: Config, host: Host, choices: Choices, flags: int) -> Program:
    """The program of `exec`: join the namespaces of `flags` (CLONE_NEW*) of the input "init", a pidfd; run process."""
    from pyrunc.plan import console, stdio

    program = Program(host.machine)
    section = config.require("process")
    _begin(program, choices, dumpable=False)
    _oom_score(section, host, program)
    if section.has("execCPUAffinity"):
        from pyrunc.plan import affinity

        affinity.initial(section, program)
    late = namespaces.join_running(program, host, flags)
    namespaces.clone_process(program, host)
    program.call("prctl", PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if late:
        program.call("setns", program.input("init"), late)
    if flags:
        program.call("close", program.input("init"))
    namespaces.enter_cgroups(program, host)
    if section.has("execCPUAffinity"):
        affinity.final(section, program)
    if flags & CLONE_NEWUSER:
        namespaces.become_root(program, config, "")
    proc = _procfs(Config({"process": section.data}, config.bundle), host, program)
    program.call("setsid")
    _session(section, program, choices, proc, loopback=False)
    if not namespaces.Namespaces(config).private("mount"):
        from pyrunc.plan import rootfs

        rootfs.enter_running(program)
    slave = None
    if section.flag("terminal"):
        slave = console.open_pty(section, program, None)
        stdio.own_terminal(section, program, slave)
    command = execve.Command(section)
    database = None
    if command.wants_home:
        from pyrunc.plan import passwd

        database = passwd.open_database(program, None)
    _tail(config, command, host, program, choices, proc, slave, database, waits=False)
    return program


def _begin(program: Program, choices: Choices, *, dumpable: bool) -> None:
    """Close all but what the program was given; nobody may look into the helper (CVE-2016-9962, CVE-2024-21626).

    An ordinary user, and newuidmap for him, may write the id maps of a dumpable process only: its files in /proc are
    root's else. So his helper is dumpable until it has its maps (namespaces.become_root), which opens it to himself and
    to nobody beside: ptrace(2) of a process in another user namespace needs CAP_SYS_PTRACE there, and no process of a
    container has that over the caller's namespace, nor over one that was made just now. Afterwards processes that
    share the namespace, as in a pod, could have it.
    """
    program.call("close_range", program.input("first free"), _ALL, 0)
    program.call("close_range", 3 + choices.preserve_fds, _ALL, _CLOSE_RANGE_CLOEXEC)
    for fd in choices.gaps:
        program.call("close_range", fd, fd, _CLOSE_RANGE_CLOEXEC)
    if not dumpable:
        program.call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
    program.call("prctl", PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    program.call("prctl", PR_SET_NAME, "pyrunc:init", 0, 0, 0)
    # Modes of devices and mount points are given in full; the process's own mask comes last.
    program.call("umask", 0)
    # posix_spawn(3) cannot reset the two signals that the C library keeps; a caller may have them ignored.
    for number in (32, 33):
        program.call("rt_sigaction", number, Struct("4Q", 0, 0, 0, 0, text="SIG_DFL"), None, 8)


def _oom_score(process: Section, host: Host, program: Program) -> None:
    if process.has("oomScoreAdj"):
        from pyrunc.plan import oom

        oom.compile(process, host, program)


def _device_filter(config: Config, host: Host, program: Program) -> None:
    linux = config.section("linux")
    resources = linux.section("resources") if linux is not None else None
    if host.cgroup_mode == "v2" and host.cgroups and resources is not None and resources.has("devices"):
        from pyrunc.plan import device_filter

        device_filter.compile(config, host, program, cgroup_fd=program.input("cgroup"))


def _net_devices(config: Config, program: Program) -> None:
    linux = config.section("linux")
    devices = linux.section("netDevices") if linux is not None else None
    if devices is not None and devices.data:
        from pyrunc.plan import net_devices

        net_devices.compile(program)


def _own_clocks(config: Config) -> int:
    """CLONE_NEWTIME where the time namespace must get its offsets before anybody is in it."""
    linux = config.section("linux")
    offsets = linux.section("timeOffsets") if linux is not None else None
    return CLONE_NEWTIME if offsets is not None and offsets.data else 0


def _procfs(config: Config, host: Host, program: Program) -> "Op | None":
    """A procfs for all that is written there, opened before anything of the image is in reach; None if nothing is."""
    linux, process = config.section("linux"), config.section("process")
    origin = "/linux/timeOffsets" if _own_clocks(config) else ""
    if not origin and linux is not None and linux.strings("sysctl"):
        origin = "/linux/sysctl"
    if process is not None and (process.has("selinuxLabel") or process.has("apparmorProfile")):
        from pyrunc.plan import lsm

        label = lsm.wanted(process, host)
        origin = origin or label
    if not origin:
        return None
    from pyrunc.plan import procfs

    return procfs.open_private(program, origin)


def _close(program: Program, fd: "Op | None") -> None:
    if fd is not None:
        program.call("close", fd)


def _session(
    process: "Section | None", program: Program, choices: Choices, proc: "Op | None", *, loopback: bool
) -> None:
    from pyrunc.plan import session

    if process is not None and proc is not None and process.has("selinuxLabel"):
        from pyrunc.plan import lsm

        lsm.keyring(process, program, proc)
    if choices.keyring is not None:
        session.keyring(program, choices.keyring)
    if loopback:
        session.loopback(program)


def _tail(
    config: Config,
    command: execve.Command,
    host: Host,
    program: Program,
    choices: Choices,
    proc: "Op | None",
    slave: "Op | None",
    passwd: "Op | None",
    *,
    waits: bool,
) -> None:
    """From the root in place to execve: terminal, directory, identity, capabilities, and what must come last."""
    from pyrunc.plan import capabilities, rlimits, stdio, user

    process = config.require("process")
    if slave is not None:
        from pyrunc.plan import console

        console.take(program, slave)
    else:
        stdio.compile(process, host, program)
    rlimits.compile(config, host, program)
    _scheduling(config, host, program)
    privileged_filter = bool(choices.bpf) and not process.flag("noNewPrivileges")
    capabilities.bounding(config, host, program)
    _working_directory(process, program, lambda: user.identity(config, host, program))
    extra = 1 << 21 if privileged_filter else 0
    capabilities.sets(config, host, program, extra)
    capabilities.ambient(config, host, program)
    user.umask(config, host, program)
    execve.look_up(command, program)
    if proc is not None:
        _confinement(process, host, program, proc)
    _stand_alone(program)
    early = bool(choices.bpf) and _notifies(config)
    if early:
        _no_new_privileges(process, program)
        _filter(config, host, program, choices.bpf, extra, listener=True)
    home = _ready(program, host, command, passwd)
    if waits:
        execve.wait_for_start(program)
        _start_hooks(config, program)
    if not early:
        _no_new_privileges(process, program)
    # Before the filter, which need not allow write(2).
    execve.announce(program, program.input("exec result" if waits else "reports"))
    if choices.bpf and not early:
        _filter(config, host, program, choices.bpf, extra, listener=False)
    execve.execute(command, program, home)


def _stand_alone(program: Program) -> None:
    """The process has its identity, and no longer ends with the runtime: it is a container soon."""
    program.call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
    program.call("prctl", PR_SET_PDEATHSIG, 0, 0, 0, 0)


def _notifies(config: Config) -> bool:
    from pyrunc.plan import seccomp

    return seccomp.notifies(config)


def _no_new_privileges(process: Section, program: Program) -> None:
    if process.flag("noNewPrivileges"):
        from pyrunc.plan import capabilities

        capabilities.no_new_privileges(program)


def _filter(config: Config, host: Host, program: Program, bpf: bytes, extra: int, *, listener: bool) -> None:
    """The filter, and the end of the capability (`extra`) that loading it needs without no_new_privs."""
    from pyrunc.plan import capabilities, seccomp

    found = seccomp.compile(config, program, bpf, listener=listener)
    if found is not None:
        seccomp.hand_over(config, host, program, found)
    if extra:
        capabilities.sets(config, host, program, 0)


def _scheduling(config: Config, host: Host, program: Program) -> None:
    """What execve(2) keeps: priorities, while there are rights to take them; execution domain; memory policy."""
    process, linux = config.require("process"), config.section("linux")
    if process.has("scheduler") or process.has("ioPriority"):
        from pyrunc.plan import scheduler

        scheduler.compile(config, host, program)
    if linux is not None and linux.has("personality"):
        from pyrunc.plan import personality

        personality.compile(config, program)
    if linux is not None and linux.has("memoryPolicy"):
        from pyrunc.plan import memory_policy

        memory_policy.compile(config, program)


def _confinement(process: Section, host: Host, program: Program, proc: Op) -> None:
    if process.has("selinuxLabel") or process.has("apparmorProfile"):
        from pyrunc.plan import lsm

        lsm.execute(process, host, program, proc)
    program.call("close", proc)


def _working_directory(process: Section, program: Program, identity: "Callable[[], None]") -> None:
    """The directory may be one that only root can reach, or one that only the user can: who can goes there."""
    origin = process.at("cwd")
    denied = (errno.EACCES, errno.EPERM)
    tried = program.call("chdir", process.text("cwd"), origin=origin, to="cwd", accept=denied)
    identity()
    reached = program.jump(tried)
    program.call("chdir", process.text("cwd"), origin=origin)
    program.here_on_success(reached)
    execve.prove_inside(program, origin)


def _ready(program: Program, host: Host, command: execve.Command, passwd: "Op | None") -> "Struct | None":
    """Tell the runtime that all is made; with its word comes HOME of the user, where the environment has none."""
    if host.uid != 0 and command.wants_home and passwd is not None:
        calls.hand_over(program, passwd)
    calls.end_hand_over(program)
    if not command.wants_home or passwd is None:
        program.sync(ops.READY, "ready")
        home = None
    else:
        program.sync(ops.READY, "ready", passwd)
        home = execve.home_buffer()
        program.call("read", program.input("answers"), Within(home, 5), 4000)
    if passwd is not None:
        # An image without the file has an errno here in place of a descriptor.
        program.call("close", passwd, accept=(errno.EBADF,))
    return home


def _start_hooks(config: Config, program: Program) -> None:
    hooks = config.section("hooks")
    if hooks is not None and hooks.array("startContainer"):
        from pyrunc.plan import hooks as concern

        concern.run(hooks, "startContainer", program, program.input("created state"))
