# SPDX-License-Identifier: Apache-2.0
"""`restore`: a new container whose processes are those of a checkpoint, as criu brings them back.

What create does stays the same: the order of claim, journal and cgroup, the record, the undo. In the place of the
helper's conversation stands criu's, which is started in the container's cgroup by a program of its own (plan.restore).
"""

import posix

from pyrunc.container import criu_yard, restore_request
from pyrunc.container.checkpoint import ready
from pyrunc.container.launch import Draft, check_terminal, make_cgroup, new_record, undo
from pyrunc.container.launch import Options as Wanted
from pyrunc.criu import messages, session
from pyrunc.errors import HostError
from pyrunc.linux.errnos import reason
from pyrunc.linux.uapi import CLONE_NEWNET
from pyrunc.plan import ops
from pyrunc.plan import restore as program_of
from pyrunc.process.spawn import gaps, spawn
from pyrunc.state import journal, status
from pyrunc.state.store import CONFIG, Entry, claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.settings import Settings
    from pyrunc.criu.options import Options
    from pyrunc.criu.session import Session
    from pyrunc.state.record import Record

LOG = "restore.log"


def restore(
    settings: "Settings",
    container_id: str,
    bundle: str,
    options: "Options",
    *,
    detach: bool = False,
    no_subreaper: bool = False,
    pid_file: "str | None" = None,
    console_socket: "str | None" = None,
    no_pivot: bool = False,
    preserve_fds: int = 0,
) -> int:
    """Make the container; the exit status of its process, or 0 when detached. After an error there is none, and the
    system is as before. `no_pivot` changes nothing: the root is made by criu.
    """
    criu = ready("restore")
    wanted = Wanted(pid_file=pid_file, preserve_fds=preserve_fds, no_pivot=no_pivot)
    draft = Draft(settings, container_id, bundle, wanted)
    check_terminal(terminal=draft.terminal, detach=detach, console_socket=console_socket)
    if closed := gaps(wanted.preserve_fds):
        # criu would take the number for itself
        raise HostError(f"--preserve-fds {wanted.preserve_fds}: file descriptor {closed[0]} is not open")
    try:
        options.open_directories(make=False)
        if console_socket:
            from pyrunc.process.console import open_console_socket

            wanted.console_fd = open_console_socket(console_socket)
        restoration = Restoration(draft, options, criu)
        return restoration.detached() if detach else restoration.foreground(no_subreaper=no_subreaper)
    finally:
        options.close()


class Restoration:
    """One restore. pid: of the container's process, 0 until criu tells it; master: of its terminal, -1 without."""

    __slots__ = ("_criu", "_draft", "_entry", "_hooked", "_options", "_pidfd", "_record", "_talk", "master", "pid")

    def __init__(self, draft: Draft, options: "Options", criu: str) -> None:
        self._draft = draft
        self._options = options
        self._criu = criu
        self._entry: Entry
        self._record: Record
        self._talk: Session | None = None
        self._pidfd = -1
        self._hooked = False
        self.master = -1
        self.pid = 0

    def detached(self) -> int:
        try:
            self._make()
        finally:
            self._close()
        return 0

    def foreground(self, *, no_subreaper: bool) -> int:
        """Stay with the container until it ends, and delete it."""
        from pyrunc.process.signals import Caught
        from pyrunc.process.supervise import become_subreaper, supervise

        signals = Caught()
        relay = None
        try:
            if not no_subreaper and not self._draft.wanted.private("pid"):
                become_subreaper()
            self._make()
            if self.master >= 0:
                from pyrunc.process.console import Relay

                relay, self.master = Relay(self.master), -1
            result = supervise(self.pid, signals, relay)
            if relay is not None:
                relay.close()
                relay = None
        finally:
            if relay is not None:
                relay.close()
            self._close()
            signals.close()
        from pyrunc.container.delete import delete

        delete(self._draft.settings, self._draft.id, force=True)
        return result

    def _close(self) -> None:
        for fd in (self._pidfd, self.master):
            if fd >= 0:
                posix.close(fd)
        self._pidfd = self.master = -1

    def _make(self) -> None:
        draft = self._draft
        entry = self._entry = claim(draft.settings.root, draft.id)
        try:
            try:
                self._prepare()
                self._restore()
            except BaseException:
                undo(draft, entry, self)
                raise
        finally:
            entry.close()

    def _prepare(self) -> None:
        """All that is outside of the processes: as container.launch."""
        draft, entry = self._draft, self._entry
        record = self._record = new_record(draft)
        status.save(entry, record)
        entry.write(CONFIG, draft.saved)
        if draft.notifies:
            from pyrunc.process.notify import make_folder

            make_folder(entry.fd)
        cgroup = draft.cgroup
        self._options.check_cgroups(
            [path for path in cgroup.paths.values() if path not in cgroup.made] if not cgroup.scope else []
        )
        make_cgroup(draft, entry, record)
        if draft.cgroup.mode == "v2":
            self._filter_devices()
        if draft.rdt is not None:
            for group in draft.rdt.own:
                journal.note(entry, journal.RDT, group)
            draft.rdt.create()

    def _filter_devices(self) -> None:
        """What the program of create does by itself (plan.device_filter)."""
        from pyrunc.cgroups import devices_bpf
        from pyrunc.plan import device_filter

        default, rules = device_filter.of_config(self._draft.config)
        directory = self._draft.cgroup.open_directory()
        if directory is None:
            return
        try:
            if rules or not default:
                devices_bpf.replace(directory, device_filter.assemble(default, rules))
        except OSError as error:
            raise HostError(f"the device filter cannot be attached: {reason(error.errno)}") from error
        finally:
            posix.close(directory)

    def _restore(self) -> None:
        draft = self._draft
        inherited = restore_request.namespaces(draft)
        try:
            talk = self._talk = self._start([fd for _, fd in inherited])
            # criu mounts below its log's directory: that must be of its own mount namespace
            self._options.reopen(f"/proc/{talk.pid}/root")
            request = restore_request.compose(draft, self._options, self._entry.path, inherited, talk.pid)
            response = talk.ask({"type": messages.RESTORE, "opts": request}, self._notice)
        finally:
            for _, fd in inherited:
                posix.close(fd)
        ended = talk.close()
        if not response.get("success") or not self.pid:
            raise session.failure(messages.RESTORE, response, self._options.said())
        if ended:
            raise session.failure(messages.RESTORE, {}, self._options.said())

    def _start(self, given: list[int]) -> "Session":
        """criu, in the container's cgroup and in a mount namespace of its own; the parent of what it makes is ours."""
        draft = self._draft
        maps: dict[str, int] = {}
        ours, theirs = session.pair()
        try:
            preserve = draft.options.preserve_fds
            argv = [self._criu, "swrk", str(program_of.FIRST)]
            environment = ["=".join(pair) for pair in session.environment().items()]
            program = program_of.compile(
                draft.config,
                draft.host,
                self._entry.path,
                1 + len(given),
                argv,
                environment,
                preserve,
                criu_yard.unified(),
            )
            inputs = {f"criu {place}": fd for place, fd in enumerate((theirs, *given))}
            if any(name.startswith("idmap ") for name in program.inputs):
                from pyrunc.process.user_namespace import open_all

                maps = open_all(draft.config, draft.host)
                inputs |= maps
            helper = spawn(program, inputs, preserve)
        except BaseException:
            posix.close(ours)
            raise
        finally:
            for fd in (theirs, *maps.values()):
                posix.close(fd)
        talk = session.Session(helper.pid, ours)
        try:
            report = helper.report()
            if report is not None:
                from pyrunc.process.explain import failure

                raise failure(program, report, helper.pid, None, self._record.rootfs)
            draft.cgroup.join(helper.pid)
            if draft.holder is not None:
                from pyrunc.container.holder import release

                release(draft, helper.pid)
        except BaseException:
            helper.close()
            talk.close()
            raise
        helper.close()
        return talk

    def _notice(self, name: str, pid: int, descriptors: list[int]) -> None:
        if name == "setup-namespaces":
            self._born(pid)
            if self._draft.wanted.new(CLONE_NEWNET):
                self._loopback()
            self._hooks()
        elif name == "post-restore":
            self._born(pid)
            self._running()
        elif name == "orphan-pts-master" and descriptors:
            if self._draft.options.console_fd >= 0:
                from pyrunc.process.console import send_descriptor

                send_descriptor(self._draft.options.console_fd, "/dev/ptmx", descriptors[0])
            else:
                self.master = posix.dup(descriptors[0])

    def _born(self, pid: int) -> None:
        if self.pid:
            return
        self.pid = pid
        self._pidfd = posix.pidfd_open(pid)
        self._record.bind(pid)
        journal.note(self._entry, journal.PROCESS, f"{pid} {self._record.start}")

    def _loopback(self) -> None:
        """Criu leaves a network namespace empty, and `lo` in it down."""
        program = program_of.loopback(self._draft.host)
        helper = spawn(program, {"init": self._pidfd}, 0)
        try:
            report = helper.report()
            if report is None or report.kind != ops.REPORT_SYNC:
                from pyrunc.process.explain import failure

                if report is None:
                    raise HostError("pyrunc-init was killed while it set up the network namespace")
                raise failure(program, report, helper.pid, None, self._record.rootfs)
        finally:
            helper.close()
            helper.reap()

    def _hooks(self) -> None:
        """Those that an engine sets the network up with, as runc runs them here; the others are of another start."""
        hooks = self._draft.config.section("hooks")
        if hooks is None:
            return
        from pyrunc.container.query import hook_state
        from pyrunc.process.hooks import run_hooks

        state = hook_state(self._record, status.CREATING)
        for kind in ("prestart", "createRuntime"):
            run_hooks(hooks.sections(kind), state, kind, self._record.bundle)

    def _running(self) -> None:
        draft, record = self._draft, self._record
        if draft.rdt is not None:
            draft.rdt.join(self.pid)
        record.status = status.RUNNING
        record.cgroup = draft.cgroup.record()
        status.save(self._entry, record)
        if draft.options.pid_file:
            from pyrunc.container.pid_file import write_pid_file

            write_pid_file(draft.options.pid_file, self.pid)

    # of an undo (container.launch)

    def return_devices(self) -> list[str]:
        return []

    def kill(self) -> None:
        """End criu, which is in the container's cgroup, with all that it has made; it might not end by itself."""
        if self._talk is not None:
            self._draft.cgroup.signal(9)
            self._talk.close(kill=True)
        if self._pidfd >= 0:
            from pyrunc.process.end import end

            end(self.pid, self._pidfd)
