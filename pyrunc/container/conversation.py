# SPDX-License-Identifier: Apache-2.0
"""The runtime's part while pyrunc-init sets a container up: what it answers at each sync point, and what it undoes."""

import posix

from pyrunc.plan import ops
from pyrunc.plan.ops import COPY_UP, CREATED, LISTENER, NETWORK, PREPARE, READY
from pyrunc.process.rights import Rights
from pyrunc.state import journal, status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.config.fields import Config
    from pyrunc.container.launch import Draft
    from pyrunc.linux.host import Host
    from pyrunc.process.net_devices import Mover
    from pyrunc.process.protocol import Helper, Report
    from pyrunc.state.record import Record
    from pyrunc.state.store import Entry

_FD = 0xFFFF
_PIDFD_RECEIVER = "run.oci.pidfd_receiver"
"""What --pidfd-socket is, in crun's words."""


class Conversation:
    """One set-up. inputs: descriptors that the program gets from here, as the states that hooks inside read."""

    __slots__ = (
        "_draft",
        "_entry",
        "_helper",
        "_mover",
        "_parent_stage",
        "_pidfd",
        "_record",
        "_rights",
        "inputs",
        "pid",
    )

    def __init__(self, draft: "Draft", entry: "Entry", record: "Record") -> None:
        self._draft = draft
        self._entry = entry
        self._record = record
        self._helper: Helper | None = None
        self._mover: Mover | None = None
        self._parent_stage = 0
        self._pidfd = -1
        self.pid = 0
        self.inputs: dict[str, int] = {}
        for name in ("creating state", "created state"):
            if name in draft.program.inputs:
                self.inputs[name] = posix.memfd_create("state", posix.MFD_CLOEXEC)
        self._rights = Rights(sends="rights" in draft.program.inputs)
        if self._rights.theirs >= 0:
            self.inputs["rights"] = self._rights.theirs

    def hold(self, helper: "Helper") -> None:
        """Answer until the container is created."""
        self._helper = helper
        self._parent_stage = helper.pid
        while True:
            report = helper.report()
            if report is None or report.kind in (ops.REPORT_ERROR, ops.REPORT_HOOK):
                raise self._failure(report)
            if report.kind == ops.REPORT_PID:
                self._born(report.value)
                continue
            point = report.value & _FD
            self._answer(point, report)
            helper.answer()
            if point == READY:
                return

    def _answer(self, point: int, report: "Report") -> None:
        if self._draft.holder is not None:
            from pyrunc.container.holder import release

            release(self._draft, self.pid)
        if point == PREPARE:
            from pyrunc.process.idmap import write_maps

            write_maps(self.pid, self._draft.config.require("linux"), self._draft.host)
        elif point == CREATED:
            self._host_hooks()
        elif point == COPY_UP:
            from pyrunc.process.copy_up import copy_up

            origin = self._draft.program.ops[report.index].origin
            numbers = report.value >> 16 & _FD, report.value >> 32 & _FD
            source, target = self._rights.paths(self.pid, *numbers)
            copy_up(source, target, origin)
        elif point == NETWORK:
            self._move_devices()
        elif point == LISTENER:
            from pyrunc.container.query import hook_state

            draft = self._draft
            state = hook_state(self._record, status.CREATING)
            hand_over(draft.config, draft.host, self._pidfd, self.pid, report, self._rights, state)
        elif point == READY:
            self._ready(report)

    def _born(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = posix.pidfd_open(pid)
        self._record.bind(pid)
        journal.note(self._entry, journal.PROCESS, f"{pid} {self._record.start}")
        posix.waitpid(self._parent_stage, 0)
        self._parent_stage = 0
        if "creating state" in self.inputs:
            from pyrunc.container.query import hook_state

            posix.write(self.inputs["creating state"], hook_state(self._record, status.CREATING, self._inner_pid()))

    def _inner_pid(self) -> int:
        """The pid as the container sees it, for hooks in its namespaces: the last of NSpid, proc_pid_status(5)."""
        with open(f"/proc/{self.pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"NSpid:"):
                    return int(line.split()[-1])
        return self.pid

    def _host_hooks(self) -> None:
        from pyrunc.container.query import hook_state
        from pyrunc.process.hooks import run_hooks

        hooks = self._draft.config.require("hooks")
        state = hook_state(self._record, status.CREATING)
        for kind in ("prestart", "createRuntime"):
            run_hooks(hooks.sections(kind), state, kind, self._record.bundle, self._record.annotations)

    def _ready(self, report: "Report") -> None:
        draft, record = self._draft, self._record
        if draft.config.has("process"):
            from pyrunc.plan import rlimits

            limits = rlimits.outside(draft.config, draft.host)
            if limits:
                from pyrunc.process.limits import prlimit

                prlimit(self.pid, limits)
            apply_priorities(self.pid, draft.config, draft.host)
        if draft.rdt is not None:
            draft.rdt.join(self.pid)
        if "created state" in self.inputs:
            from pyrunc.container.query import hook_state

            posix.write(self.inputs["created state"], hook_state(record, status.CREATED, self._inner_pid()))
        record.status = status.CREATED
        record.cgroup = draft.cgroup.record()
        status.save(self._entry, record)
        if draft.options.pid_file:
            from pyrunc.container.pid_file import write_pid_file

            write_pid_file(draft.options.pid_file, self.pid)
        pidfd_socket = draft.options.pidfd_socket or record.annotations.get(_PIDFD_RECEIVER)
        if pidfd_socket:
            from pyrunc.process.console import send_pidfd

            send_pidfd(pidfd_socket, self._pidfd)
        if draft.config.has("process") and "answers" in draft.program.inputs and self._helper is not None:
            from pyrunc.process.home import answer

            fd = report.value >> 16
            file = self._rights.paths(self.pid, fd)[0] if fd >= 0 else ""
            self._helper.say(answer(file, draft.config))

    def _move_devices(self) -> None:
        from pyrunc.process.net_devices import Mover

        network = posix.open(f"/proc/{self.pid}/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            self._mover = Mover(network, self._draft.host.machine)
        finally:
            posix.close(network)
        self._mover.move_in(
            self._draft.config, self.pid, lambda text: journal.note(self._entry, journal.NETDEVICE, text)
        )

    def return_devices(self) -> list[str]:
        """Move the network devices back to the host, as long as their namespace is there; warnings."""
        return self._mover.move_back(self._mover.moved) if self._mover is not None else []

    def _failure(self, report: "Report | None") -> Exception:
        from pyrunc.plan.execve import Command
        from pyrunc.process.explain import failure

        if report is None:
            from pyrunc.container.killed import killed

            return killed(self._draft.cgroup, "while it set up the container")
        process = self._draft.config.section("process")
        command = Command(process) if process is not None else None
        pid = self.pid or self._parent_stage
        return failure(self._draft.program, report, pid, command, self._record.rootfs)

    def kill(self) -> None:
        """End every stage of the helper, and with it whatever it has started in a pid namespace of its own."""
        if self._helper is not None:
            self._helper.close()
        if self._parent_stage:
            posix.waitpid(self._parent_stage, 0)
            self._parent_stage = 0
        if self._pidfd >= 0:
            from pyrunc.process.end import end

            end(self.pid, self._pidfd)

    def close(self) -> None:
        if self._helper is not None:
            self._helper.close()
        if self._mover is not None:
            self._mover.close()
            self._mover = None
        self.inputs.pop("rights", None)
        self._rights.close()
        for fd in (self._pidfd, *self.inputs.values()):
            if fd >= 0:
                posix.close(fd)
        self._pidfd = -1
        self.inputs = {}


def hand_over(
    config: "Config", host: "Host", pidfd: int, pid: int, report: "Report", rights: Rights, state: bytes
) -> None:
    """At the point LISTENER: the listener of the filter of `pid` goes to the agent, with the container's state."""
    from pyrunc.process import seccomp_agent

    seccomp = config.require("linux").require("seccomp")
    sent = rights.received() if host.uid != 0 else []
    listener = sent[0] if sent else seccomp_agent.taken(seccomp, pidfd, report.value >> 16 & _FD, host.machine)
    try:
        seccomp_agent.hand_over(seccomp, state, pid, listener)
    finally:
        if not sent:
            posix.close(listener)


def apply_priorities(pid: int, config: "Config", host: "Host") -> None:
    """process.scheduler and ioPriority of a process that has left the user namespace whose rights count."""
    process = config.section("process")
    if process is not None and (process.has("scheduler") or process.has("ioPriority")):
        from pyrunc.plan import scheduler

        calls = scheduler.outside(config, host)
        if calls:
            from pyrunc.process.scheduling import apply

            apply(pid, host.machine, calls)
