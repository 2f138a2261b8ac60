# SPDX-License-Identifier: Apache-2.0
"""`exec`: one more process in a container, by the machinery of create with another program."""

import posix

from pyrunc.config.fields import Config
from pyrunc.container.conversation import apply_priorities, hand_over
from pyrunc.container.launch import cgroup_entrances, check_terminal, seccomp_filter
from pyrunc.container.query import hook_state, status_of
from pyrunc.container.start import saved_config
from pyrunc.errors import StatusError, UsageError
from pyrunc.linux.host import Host, probe
from pyrunc.linux.namespaces import NAMESPACES
from pyrunc.plan import ops
from pyrunc.plan.compile import Choices, process
from pyrunc.process.protocol import died_as_helper
from pyrunc.process.rights import Rights
from pyrunc.process.spawn import gaps, spawn
from pyrunc.state import status
from pyrunc.state.store import open_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.driver import Cgroup
    from pyrunc.container.settings import Settings
    from pyrunc.plan.program import Program
    from pyrunc.process.console import Relay
    from pyrunc.process.protocol import Helper, Report
    from pyrunc.state.record import Record


class ExecRequest:
    """What `exec` is asked for. args: the command, when process_file is None; user: "UID[:GID]" or None; cgroup:
    [controller:]path below the container's; the rest as the flags of that name.
    """

    __slots__ = (
        "additional_gids",
        "apparmor",
        "args",
        "caps",
        "cgroup",
        "console_socket",
        "cwd",
        "detach",
        "env",
        "ignore_paused",
        "no_new_privs",
        "pid_file",
        "pidfd_socket",
        "preserve_fds",
        "process_file",
        "process_label",
        "tty",
        "user",
    )

    def __init__(
        self,
        *,
        args: "list[str]",
        process_file: "str | None" = None,
        detach: bool = False,
        tty: bool = False,
        cwd: "str | None" = None,
        env: "list[str] | None" = None,
        user: "str | None" = None,
        additional_gids: "list[int] | None" = None,
        caps: "list[str] | None" = None,
        process_label: "str | None" = None,
        apparmor: "str | None" = None,
        no_new_privs: "bool | None" = None,
        preserve_fds: int = 0,
        pid_file: "str | None" = None,
        console_socket: "str | None" = None,
        pidfd_socket: "str | None" = None,
        cgroup: "list[str] | None" = None,
        ignore_paused: bool = False,
    ) -> None:
        self.args = args
        self.process_file = process_file
        self.detach = detach
        self.tty = tty
        self.cwd = cwd
        self.env = env or []
        self.user = user
        self.additional_gids = additional_gids or []
        self.caps = caps or []
        self.process_label = process_label
        self.apparmor = apparmor
        self.no_new_privs = no_new_privs
        self.preserve_fds = preserve_fds
        self.pid_file = pid_file
        self.console_socket = console_socket
        self.pidfd_socket = pidfd_socket
        self.cgroup = cgroup or []
        self.ignore_paused = ignore_paused


def exec(settings: "Settings", container_id: str, request: ExecRequest) -> int:
    """Run the command in the container; its exit status, or 0 when detached. Errors as of create, and StatusError."""
    entry = open_entry(settings.root, container_id)
    try:
        record = status.load(entry)
        move = "exec-paused" if request.ignore_paused else "exec"
        status.require(move, record.id, status_of(entry, record))
        config = saved_config(entry, record)
    finally:
        entry.close()
    from pyrunc.container.exec_process import process_of

    described = process_of(config, request)
    config = Config({**config.data, "process": described}, config.bundle)
    host = probe()
    from pyrunc.config.validate import validate

    for warning in validate(config, host):
        settings.warn(warning)
    check_terminal(
        terminal=config.require("process").flag("terminal"),
        detach=request.detach,
        console_socket=request.console_socket,
    )
    return _Execution(settings, record, config, host, request).run()


class _Execution:
    """One process that is put into a container."""

    __slots__ = (
        "_cgroup",
        "_config",
        "_helper",
        "_host",
        "_pidfd",
        "_program",
        "_record",
        "_relay",
        "_request",
        "_rights",
        "_sub",
        "_terminal",
        "pid",
    )

    def __init__(
        self, settings: "Settings", record: "Record", config: Config, host: Host, request: ExecRequest
    ) -> None:
        from pyrunc.cgroups.driver import from_state, sub_cgroups

        self._record = record
        self._config = config
        self._host = host
        self._request = request
        self._cgroup: Cgroup = from_state(record.cgroup)
        self._sub = sub_cgroups(request.cgroup)
        if self._sub and not self._cgroup.paths:
            raise UsageError("--cgroup: the container has no cgroup")
        self._helper: Helper | None = None
        self._rights: Rights
        self._pidfd = -1
        self._terminal = -1
        self._relay: Relay | None = None
        self.pid = 0
        host.cgroup_mode = self._cgroup.mode
        host.cgroups = tuple((name, "", path, "") for name, path in self._cgroup.paths.items())
        choices = Choices(
            preserve_fds=request.preserve_fds,
            gaps=gaps(request.preserve_fds),
            keyring=f"_ses.{record.id}" if record.keyring else None,
            bpf=seccomp_filter(settings, config, host),
        )
        self._program: Program = process(config, host, choices, foreign_namespaces(record.pid))

    def run(self) -> int:
        request = self._request
        if request.detach:
            self._start(self._console())
            return 0
        return self._foreground()

    def _console(self) -> int:
        if not self._request.console_socket:
            return -1
        from pyrunc.process.console import open_console_socket

        return open_console_socket(self._request.console_socket)

    def _foreground(self) -> int:
        from pyrunc.process.signals import Caught
        from pyrunc.process.supervise import supervise

        signals = Caught()
        try:
            self._start_here()
            return supervise(self.pid, signals, self._relay)
        finally:
            if self._relay is not None:
                self._relay.close()
            signals.close()

    def _start_here(self) -> None:
        if not self._config.require("process").flag("terminal"):
            self._start(-1)
            return
        from pyrunc.process.console import socketpair

        self._terminal, theirs = socketpair()
        try:
            self._start(theirs)
        finally:
            posix.close(self._terminal)
            posix.close(theirs)

    def _start(self, console: int) -> None:
        """Spawn the helper and answer it until the command is executed."""
        init = status.open_process(self._record)
        if init < 0:
            raise StatusError("cannot exec in a stopped container")
        entrances = cgroup_entrances(self._cgroup, self._sub, self._record.pid)
        descriptors = {"init": init, "console": console, **entrances}
        self._rights = Rights(sends="rights" in self._program.inputs)
        try:
            if "root" in self._program.inputs:
                descriptors["root"] = self._open_root()
            inputs = {**descriptors, "rights": self._rights.theirs}
            self._helper = spawn(self._program, inputs, self._request.preserve_fds)
        except BaseException:
            self._rights.close()
            raise
        finally:
            for name, fd in descriptors.items():
                if name != "console":
                    posix.close(fd)
        try:
            self._answer(self._helper)
        except BaseException:
            self._end()
            raise
        finally:
            self._helper.close()
            self._rights.close()
            if self._pidfd >= 0:
                posix.close(self._pidfd)

    def _open_root(self) -> int:
        """The root directory of a container that has the host's mount namespace, and so none to join."""
        try:
            root = posix.open(f"/proc/{self._record.pid}/root", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        except OSError as error:
            raise StatusError("cannot exec in a stopped container") from error
        if not status.is_alive(self._record):  # else the number may have been another's by then
            posix.close(root)
            raise StatusError("cannot exec in a stopped container")
        return root

    def _answer(self, helper: "Helper") -> None:
        executing = False
        while True:
            report = helper.report()
            if report is None and executing and not died_as_helper(self.pid):
                return
            if report is not None and report.kind == ops.REPORT_EXECUTING:
                executing = True
                continue
            if report is None:
                from pyrunc.container.killed import killed

                filtered = any(op.name == "seccomp" for op in self._program.ops)
                raise killed(self._cgroup, "before it could execute the command", filtered=filtered)
            if report.kind in (ops.REPORT_ERROR, ops.REPORT_HOOK):
                from pyrunc.plan.execve import Command
                from pyrunc.process.explain import failure

                command = Command(self._config.require("process"))
                raise failure(self._program, report, self.pid, command, self._record.rootfs)
            if report.kind == ops.REPORT_PID:
                self.pid = report.value
                self._pidfd = posix.pidfd_open(self.pid)
                helper.reap()
                continue
            if report.value & 0xFFFF == ops.LISTENER:
                state = hook_state(self._record, status.RUNNING)
                hand_over(self._config, self._host, self._pidfd, self.pid, report, self._rights, state)
            else:
                self._ready(helper, report)
            helper.answer()

    def _ready(self, helper: "Helper", report: "Report") -> None:
        self._cgroup.attach(self.pid, self._sub)
        if self._terminal >= 0:
            from pyrunc.process.console import Relay, receive_master

            # It has its size before the command can ask for it.
            self._relay = Relay(receive_master(self._terminal))
        from pyrunc.plan import rlimits

        limits = rlimits.outside(self._config, self._host)
        if limits:
            from pyrunc.process.limits import prlimit

            prlimit(self.pid, limits)
        apply_priorities(self.pid, self._config, self._host)
        linux = self._config.section("linux")
        rdt = linux.section("intelRdt") if linux is not None else None
        if rdt is not None:
            from pyrunc.process.intel_rdt import of_running

            of_running(rdt, self._record.id).join(self.pid)
        if self._request.pid_file:
            from pyrunc.container.pid_file import write_pid_file

            write_pid_file(self._request.pid_file, self.pid)
        if self._request.pidfd_socket:
            from pyrunc.process.console import send_pidfd

            send_pidfd(self._request.pidfd_socket, self._pidfd)
        if "answers" in self._program.inputs:
            from pyrunc.process.home import answer

            fd = report.value >> 16
            file = self._rights.paths(self.pid, fd)[0] if fd >= 0 else ""
            helper.say(answer(file, self._config))

    def _end(self) -> None:
        """Leave no process behind after an error."""
        if self._helper is not None:
            self._helper.close()
        if self._pidfd >= 0:
            from pyrunc.process.end import end

            end(self.pid, self._pidfd)


def foreign_namespaces(pid: int, gone: str = "cannot exec in a stopped container") -> int:
    """The CLONE_NEW* of the namespaces of `pid` that are not ours: setns(2) into one's own user namespace fails.

    StatusError with the words `gone` when it has ended.
    """
    flags = 0
    for flag, name in NAMESPACES.values():
        try:
            theirs = posix.readlink(f"/proc/{pid}/ns/{name}")
        except FileNotFoundError as error:
            if name == "time":
                continue  # a kernel without time namespaces
            raise StatusError(gone) from error
        if theirs != posix.readlink(f"/proc/self/ns/{name}"):
            flags |= flag
    return flags
