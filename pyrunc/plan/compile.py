# SPDX-License-Identifier: Apache-2.0
"""The compiler: config.json and the facts of the host become a Program. The order of set-up is this module.

    container()  parent stage: descriptors, oom score, namespaces by path, device filter, clone
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
    CLONE_NEWUSER,
    PR_SET_DUMPABLE,
    PR_SET_NAME,
    PR_SET_PDEATHSIG,
)
from pyrunc.plan import execve, namespaces, ops
from pyrunc.plan.program import Op, Program, Struct, Within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.plan.mounts import Mount
    from pyrunc.plan.paths import Masks

PREPARE, READY, CREATED, COPY_UP = 1, 2, 3, 4
"""The sync points: write id maps and join cgroups; record the container; run host hooks; fill a tmpfs."""

_SIGKILL = 9
_CLOSE_RANGE_CLOEXEC = 4
_ALL = 0xFFFFFFFF


class Choices:
    """What the caller of a verb chooses beside config.json.

    preserve_fds: descriptors from 3 on that the process keeps. keyring: name of the session keyring, None for the
    caller's. no_pivot: move and chroot instead of pivot_root. bpf: the compiled linux.seccomp.
    """

    __slots__ = ("bpf", "keyring", "no_pivot", "preserve_fds")

    def __init__(
        self, *, preserve_fds: int = 0, keyring: "str | None" = None, no_pivot: bool = False, bpf: bytes = b""
    ) -> None:
        self.preserve_fds = preserve_fds
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
    filesystem = _Filesystem(config, host, wanted, choices, command)

    _begin(program, choices, dumpable=host.rootless and new_user)
    if process is not None:
        _oom_score(process, host, program)
    if filesystem.private and new_user and not host.rootless:
        filesystem.open_sources(program)
    namespaces.join(wanted, program)
    _device_filter(config, host, program)
    namespaces.clone(wanted, config, host, program)

    program.call("prctl", PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if new_user or (host.cgroups and host.cgroup_mode != "v2"):
        program.sync(PREPARE, "prepare")
    if new_user:
        namespaces.become_root(program, "/linux/uidMappings")
        program.call("prctl", PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    namespaces.unshare_cgroup(wanted, program)
    program.call("setsid")
    _session(program, choices, loopback=wanted.new(CLONE_NEWNET))
    filesystem.make(program)
    if process is None or command is None:
        # start of a container without a process is an error of its own (runtime.md#start); until then it only waits.
        program.sync(READY, "ready")
        execve.wait_for_start(program)
        return program
    _tail(config, command, host, program, choices, filesystem.slave, filesystem.passwd, waits=True)
    return program


def process(config: Config, host: Host, choices: Choices, flags: int) -> Program:
    """The program of `exec`: join the namespaces of `flags` (CLONE_NEW*) of the input "init", a pidfd; run process."""
    from pyrunc.plan import console, stdio

    program = Program(host.machine)
    section = config.require("process")
    _begin(program, choices, dumpable=False)
    _oom_score(section, host, program)
    if flags:
        program.call("setns", program.input("init"), flags)
    namespaces.clone_process(program, host)
    program.call("prctl", PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if host.cgroups and host.cgroup_mode != "v2":
        program.sync(PREPARE, "prepare")
    if flags & CLONE_NEWUSER:
        namespaces.become_root(program, "")
    program.call("setsid")
    _session(program, choices, loopback=False)
    slave = None
    if section.flag("terminal"):
        slave = console.open_pty(section, program, None)
        stdio.own_terminal(section, program, slave)
    command = execve.Command(section)
    passwd = _open_passwd(program, None) if command.wants_home else None
    _tail(config, command, host, program, choices, slave, passwd, waits=False)
    return program


def _begin(program: Program, choices: Choices, *, dumpable: bool) -> None:
    """Close all but what the program was given; nobody may look into the helper (CVE-2016-9962, CVE-2024-21626).

    An ordinary user writes the id maps of his child, and the kernel lets him for a dumpable process only.
    """
    program.call("close_range", program.input("first free"), _ALL, 0)
    program.call("close_range", 3 + choices.preserve_fds, _ALL, _CLOSE_RANGE_CLOEXEC)
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


def _session(program: Program, choices: Choices, *, loopback: bool) -> None:
    from pyrunc.plan import session

    if choices.keyring is not None:
        session.keyring(program, choices.keyring)
    if loopback:
        session.loopback(program)


class _Filesystem:
    """The container's view of files: everything between the new mount namespace and the pivot."""

    __slots__ = (
        "choices",
        "command",
        "config",
        "host",
        "mounts",
        "passwd",
        "private",
        "slave",
        "sources_open",
        "wanted",
    )

    def __init__(
        self,
        config: Config,
        host: Host,
        wanted: namespaces.Namespaces,
        choices: Choices,
        command: "execve.Command | None",
    ) -> None:
        from pyrunc.plan import mounts

        self.config = config
        self.host = host
        self.wanted = wanted
        self.choices = choices
        self.private = wanted.private("mount")
        self.command = command
        self.mounts = mounts.read(config)
        self.sources_open = False
        self.slave: Op | None = None
        self.passwd: Op | None = None

    def open_sources(self, program: Program) -> None:
        """Bind sources that only the caller may reach are opened before the user namespace takes its rights away."""
        from pyrunc.plan import mounts

        mounts.open_sources(self.mounts, program)
        self.sources_open = True

    def make(self, program: Program) -> None:
        from pyrunc.plan import rootfs

        if not self.private:
            rootfs.enter(program, self.config)
            self._names(program, None)
            self._passwd(program, None)
            return
        shared = rootfs.propagation(self.config)[0]
        if shared and not self.sources_open:
            self.open_sources(program)
        if self._copies_up():
            # The runtime reads both directories through /proc, which an ordinary user may of a dumpable process only.
            program.call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0)
        rootfs.isolate(program)
        if not self.sources_open:
            self.open_sources(program)
        proc = self._procfs(program)
        masks = self._masks(program)
        root = rootfs.attach(self.config, program)
        late = self._mounts(program, root)
        if self._copies_up():
            program.call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
        self._devices(program, root)
        self._terminal(program, root)
        self._hooks(program)
        for mount, tree in late:
            from pyrunc.plan import mounts

            mounts.seal(mount, program, tree)
        self._working_directory(program, root)
        self._passwd(program, root)
        self._paths(program, root, masks)
        rootfs.read_only(self.config, program, root)
        rootfs.pivot(self.config, program, root, no_pivot=self.choices.no_pivot)
        program.call("close", root)
        self._names(program, proc)

    def _copies_up(self) -> bool:
        return self.host.rootless and any(mount.options.tmpcopyup for mount in self.mounts)

    def _passwd(self, program: Program, root: "Op | None") -> None:
        if self.command is not None and self.command.wants_home:
            self.passwd = _open_passwd(program, root)

    def _working_directory(self, program: Program, root: Op) -> None:
        """Make process.cwd where it is missing, as users of runc expect; a root that is read-only by nature stays."""
        process = self.config.section("process")
        if process is not None and process.text("cwd") != "/":
            folder = program.mkpath(root, process.text("cwd"), ops.KIND_DIRECTORY, origin=process.at("cwd"))
            folder.accept = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)
            program.call("close", folder, accept=(errno.EBADF,))

    def _procfs(self, program: Program) -> "Op | None":
        linux = self.config.section("linux")
        if linux is None or not linux.strings("sysctl"):
            return None
        from pyrunc.plan import procfs

        return procfs.open_private(program, "/linux/sysctl")

    def _masks(self, program: Program) -> "Masks | None":
        linux = self.config.section("linux")
        if linux is None or not linux.has("maskedPaths"):
            return None
        from pyrunc.plan import paths

        return paths.prepare(self.config, self.host, program)

    def _mounts(self, program: Program, root: Op) -> "list[tuple[Mount, Op]]":
        from pyrunc.plan import mounts

        late = []
        for mount in self.mounts:
            if mount.type in ("cgroup", "cgroup2") and not mount.options.bind:
                from pyrunc.plan import cgroup_mount

                cgroup_mount.make(mount, self.host, program, root, private=self.wanted.private("cgroup"))
                continue
            tree = mounts.make(mount, program, root, COPY_UP)
            if tree is not None:
                late.append((mount, tree))
        return late

    def _devices(self, program: Program, root: Op) -> None:
        """A /dev that is bound from elsewhere is complete, and not ours to fill."""
        from pyrunc.plan import devices

        wanted = devices.wanted(self.config)
        if any(mount.options.bind and mount.destination == "/dev" for mount in self.mounts):
            return
        bind = self.host.rootless or self.wanted.private("user")
        devices.make(wanted, program, root, bind=bind)
        devices.links(program, root)

    def _terminal(self, program: Program, root: Op) -> None:
        process = self.config.section("process")
        if process is None or not process.flag("terminal"):
            return
        from pyrunc.plan import console, stdio

        self.slave = console.open_pty(process, program, root)
        stdio.own_terminal(process, program, self.slave)
        console.bind_console(program, root, self.slave)

    def _hooks(self, program: Program) -> None:
        hooks = self.config.section("hooks")
        if hooks is None:
            return
        if hooks.array("prestart") or hooks.array("createRuntime"):
            program.sync(CREATED, "created")
        if hooks.array("createContainer"):
            from pyrunc.plan import hooks as concern

            concern.run(hooks, "createContainer", program, program.input("creating state"))

    def _paths(self, program: Program, root: Op, masks: "Masks | None") -> None:
        linux = self.config.section("linux")
        if linux is None or not (linux.has("maskedPaths") or linux.has("readonlyPaths")):
            return
        from pyrunc.plan import paths

        paths.read_only(self.config, program, root)
        if masks is not None:
            paths.mask(self.config, program, root, masks)

    def _names(self, program: Program, proc: "Op | None") -> None:
        if self.config.has("hostname") or self.config.has("domainname"):
            from pyrunc.plan import uts

            uts.compile(self.config, self.host, program)
        if proc is not None:
            from pyrunc.plan import sysctl

            sysctl.compile(self.config, self.host, program, proc)
            program.call("close", proc)


def _open_passwd(program: Program, root: "Op | None") -> Op:
    from pyrunc.plan import passwd

    return passwd.open_database(program, root)


def _tail(
    config: Config,
    command: execve.Command,
    host: Host,
    program: Program,
    choices: Choices,
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
    privileged_filter = bool(choices.bpf) and not process.flag("noNewPrivileges")
    capabilities.bounding(config, host, program)
    _working_directory(process, program, lambda: user.identity(config, host, program))
    extra = 1 << 21 if privileged_filter else 0
    capabilities.sets(config, host, program, extra)
    capabilities.ambient(config, host, program)
    user.umask(config, host, program)
    execve.look_up(command, program)
    home = _ready(program, command, passwd)
    if waits:
        execve.wait_for_start(program)
        _start_hooks(config, program)
    if process.flag("noNewPrivileges"):
        capabilities.no_new_privileges(program)
    if choices.bpf:
        from pyrunc.plan import seccomp

        seccomp.compile(config, host, program, choices.bpf)
        if extra:
            capabilities.sets(config, host, program, 0)
    execve.execute(command, program, home)


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


def _ready(program: Program, command: execve.Command, passwd: "Op | None") -> "Struct | None":
    """Tell the runtime that all is made; with its word comes HOME of the user, where the environment has none."""
    program.call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
    program.call("prctl", PR_SET_PDEATHSIG, 0, 0, 0, 0)
    if not command.wants_home or passwd is None:
        program.sync(READY, "ready")
        home = None
    else:
        program.sync(READY, "ready", passwd)
        home = execve.home_buffer()
        program.call("read", program.input("answers"), Within(home, 5), 4000)
    if passwd is not None:
        program.call("close", passwd)
    return home


def _start_hooks(config: Config, program: Program) -> None:
    hooks = config.section("hooks")
    if hooks is not None and hooks.array("startContainer"):
        from pyrunc.plan import hooks as concern

        concern.run(hooks, "startContainer", program, program.input("created state"))
