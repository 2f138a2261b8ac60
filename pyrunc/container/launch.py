# SPDX-License-Identifier: Apache-2.0
"""From a bundle to a process that waits for `start`: what `create` and `run` have in common.

The order makes a crash lose nothing: claim the id, save the record, name each outside thing in the journal, make it.
Any failure undoes all of it (runtime.md#errors).
"""

import posix

from pyrunc.config.fields import Config
from pyrunc.config.load import load
from pyrunc.config.validate import HOOKS, rootless, validate
from pyrunc.container.conversation import Conversation
from pyrunc.errors import ConfigError, UsageError
from pyrunc.linux.errnos import reason
from pyrunc.linux.host import Host, probe
from pyrunc.linux.uapi import CLONE_NEWUSER, S_IFDIR, S_IFMT
from pyrunc.plan import rootfs
from pyrunc.plan.compile import Choices, container
from pyrunc.plan.namespaces import Namespaces
from pyrunc.plan.ops import CHANNEL, EXEC
from pyrunc.plan.program import Op, Struct
from pyrunc.process.spawn import gaps, spawn
from pyrunc.state import journal, status
from pyrunc.state.ids import validate_id
from pyrunc.state.record import Record
from pyrunc.state.store import CONFIG, FIFO, RESULT, Entry, claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.driver import Cgroup
    from pyrunc.config.fields import Section
    from pyrunc.container.holder import Holder
    from pyrunc.container.restore import Restoration
    from pyrunc.container.settings import Settings
    from pyrunc.plan.program import Operand, Program
    from pyrunc.process.intel_rdt import Group
    from pyrunc.process.protocol import Helper


class Options:
    """What create and run are asked for; console_fd: a connected socket for the terminal, or -1."""

    __slots__ = ("config_file", "console_fd", "no_new_keyring", "no_pivot", "pid_file", "pidfd_socket", "preserve_fds")

    def __init__(
        self,
        *,
        config_file: "str | None" = None,
        pid_file: "str | None" = None,
        pidfd_socket: "str | None" = None,
        no_pivot: bool = False,
        no_new_keyring: bool = False,
        preserve_fds: int = 0,
    ) -> None:
        self.config_file = config_file
        self.pid_file = pid_file
        self.pidfd_socket = pidfd_socket
        self.no_pivot = no_pivot
        self.no_new_keyring = no_new_keyring
        self.preserve_fds = preserve_fds
        self.console_fd = -1


class Draft:
    """A container that exists on paper: everything is read, checked and compiled, and nothing outside has changed."""

    __slots__ = (
        "cgroup",
        "config",
        "holder",
        "host",
        "id",
        "notifies",
        "options",
        "program",
        "rdt",
        "saved",
        "settings",
        "wanted",
    )

    def __init__(self, settings: "Settings", container_id: str, bundle: str, options: Options) -> None:
        from pyrunc.cgroups.driver import open_cgroup

        self.id = validate_id(container_id)
        self.holder: Holder | None = None
        self.settings = settings
        self.options = options
        self.config: Config = load(bundle, options.config_file)
        self.host: Host = probe()
        if settings.rootless is not None:
            self.host.own_ids = settings.rootless or self.host.own_ids
        for warning in validate(self.config, self.host):
            settings.warn(warning)
        rootless(self.config, self.host)
        _check_root(self.config)
        self.wanted = Namespaces(self.config)
        _add_maps(self.config, self.host, self.wanted)
        _check_hooks(self.config)
        _check_devices(self.config, self.host)
        self.saved = _config_bytes(self.config)
        self.notifies = bool(posix.environ.get(b"NOTIFY_SOCKET")) and self.config.has("process")
        if self.notifies:
            from pyrunc.process.notify import FOLDER, add_mount

            add_mount(self.config, f"{settings.root}/{self.id}/{FOLDER}")
        options.preserve_fds += _socket_activation(self.config)
        closed = gaps(options.preserve_fds)
        self.cgroup: Cgroup = open_cgroup(self.config, self.id, settings.cgroup_manager, rootless=self.host.rootless)
        self.cgroup.check(resources(self.config))
        self.rdt: Group | None = _rdt(self.config, self.id)
        self.host.cgroups = self.cgroup.host_rows()
        self.host.cgroup_mode = self.cgroup.mode if self.host.cgroups else self.host.cgroup_mode
        choices = Choices(
            preserve_fds=options.preserve_fds,
            gaps=closed,
            keyring=None if options.no_new_keyring else f"_ses.{self.id}",
            no_pivot=options.no_pivot,
            bpf=seccomp_filter(settings, self.config, self.host),
        )
        self.program: Program = container(self.config, self.host, choices)

    @property
    def terminal(self) -> bool:
        """Whether the process gets a terminal."""
        process = self.config.section("process")
        return process is not None and process.flag("terminal")


def launch(draft: Draft) -> "tuple[Entry, Record]":
    """Make the container of a draft; its entry is locked, its process waits for `start`."""
    entry = claim(draft.settings.root, draft.id)
    try:
        return entry, _launch(draft, entry)
    except BaseException:
        entry.close()
        raise


def _launch(draft: Draft, entry: Entry) -> Record:
    record = None
    conversation = None
    try:
        entry.lock()
        record = new_record(draft)
        status.save(entry, record)
        entry.write(CONFIG, draft.saved)
        if draft.notifies:
            from pyrunc.process.notify import make_folder

            make_folder(entry.fd)
        make_cgroup(draft, entry, record)
        if draft.rdt is not None:
            for group in draft.rdt.own:
                journal.note(entry, journal.RDT, group)
            draft.rdt.create()
        entry.make_fifo(FIFO)
        entry.make_fifo(RESULT)
        conversation = Conversation(draft, entry, record)
        conversation.hold(_spawn(draft, entry, conversation))
    except BaseException:
        undo(draft, entry, conversation)
        raise
    finally:
        if conversation is not None:
            conversation.close()
    return record


def make_cgroup(draft: Draft, entry: Entry, record: Record) -> None:
    """The cgroup with its limits, whatever it is; a unit of systemd is held until holder.release."""
    cgroup = draft.cgroup
    for directory in cgroup.directories():
        journal.note(entry, journal.CGROUP, directory)
    if cgroup.scope:
        from pyrunc.container.holder import Holder

        journal.note(entry, journal.UNIT, cgroup.scope)
        draft.holder = Holder(draft.host.machine)
    cgroup.create(draft.holder.pid if draft.holder is not None else 0)
    # An ordinary user may have got fewer cgroups than were looked for.
    record.cgroup = cgroup.record()
    for warning in cgroup.apply(resources(draft.config)):
        draft.settings.warn(warning)


def new_record(draft: Draft) -> Record:
    hooks = draft.config.section("hooks")
    kinds = [kind for kind in HOOKS if hooks.array(kind)] if hooks is not None else []
    return Record(
        id=draft.id,
        bundle=draft.config.bundle,
        rootfs=rootfs.path(draft.config),
        oci_version=draft.config.text("ociVersion"),
        manager=draft.settings.cgroup_manager,
        cgroup=draft.cgroup.record(),
        annotations=draft.config.strings("annotations"),
        own_pids=draft.wanted.private("pid"),
        hooks=kinds,
        has_process=draft.config.has("process"),
        keyring=not draft.options.no_new_keyring,
        tail=_tail(draft.program),
    )


def _tail(program: "Program") -> list[object]:
    """What runs after `start`, as far as its errors need it (process.explain): the program itself is gone by then."""
    wait = next(op.index for op in program.ops if op.code == CHANNEL)
    return [
        [op.index, op.code, op.name, op.origin, [] if op.code == EXEC else [_kept(operand) for operand in op.operands]]
        for op in program.ops[wait:]
    ]


def _kept(operand: "Operand") -> object:
    """What a listing shows of an operand: a number or text as it is, a register's name, in a list a struct's text."""
    if operand is None or type(operand) is int or type(operand) is str:
        return operand
    if type(operand) is Op:
        return {"to": operand.to}
    return [operand.text if type(operand) is Struct else ""]


def _config_bytes(config: Config) -> bytes:
    """The config as created, before the runtime adds what this one start needs (sockets of systemd)."""
    from pyrunc.config.dump import dump

    return dump(config.data).encode("ascii")


def _spawn(draft: Draft, entry: Entry, conversation: Conversation) -> "Helper":
    descriptors: dict[str, int] = {}
    opened = []
    try:
        for name, file in (("exec fifo", FIFO), ("exec result", RESULT)):
            # Both ends are held: neither opening blocks, and neither sees an end before `start` has come and gone.
            fd = posix.open(file, posix.O_RDWR | posix.O_CLOEXEC, dir_fd=entry.fd)
            descriptors[name] = fd
            opened.append(fd)
        entrances = cgroup_entrances(draft.cgroup)
        descriptors.update(entrances)
        opened += entrances.values()
        if draft.options.console_fd >= 0:
            descriptors["console"] = draft.options.console_fd
        descriptors.update(conversation.inputs)
        if any(name.startswith("idmap ") for name in draft.program.inputs):
            from pyrunc.process.user_namespace import open_all

            maps = open_all(draft.config, draft.host)
            descriptors.update(maps)
            opened += maps.values()
        return spawn(draft.program, descriptors, draft.options.preserve_fds)
    finally:
        for fd in opened:
            posix.close(fd)


def cgroup_entrances(
    cgroup: "Cgroup", sub: "dict[str, str] | None" = None, init: "int | None" = None
) -> dict[str, int]:
    """Descriptors by which the process enters the cgroup, by the program's input names; the caller closes them."""
    clone, tasks = cgroup.entrances(sub, init)
    found = {f"tasks {place}": fd for place, fd in enumerate(tasks)}
    return found if clone is None else {**found, "cgroup": clone}


def undo(draft: Draft, entry: Entry, conversation: "Conversation | Restoration | None") -> None:
    """Leave the system as it was: the process first, then what the journal names, the entry last."""
    if conversation is not None:
        for warning in conversation.return_devices():
            draft.settings.warn(warning)
        conversation.kill()
    draft.cgroup.signal(9)
    if draft.holder is not None:
        draft.holder.end()
    if draft.rdt is not None:
        draft.rdt.undo()
    try:
        draft.cgroup.remove(parents=True)
        if conversation is not None and conversation.pid:
            _poststop(draft)
    finally:
        entry.remove()


def _poststop(draft: Draft) -> None:
    """Where hooks had an environment poststop follows its end, also when create fails (runtime.md#lifecycle)."""
    hooks = draft.config.section("hooks")
    if hooks is None or not hooks.array("poststop"):
        return
    from pyrunc.container.query import hook_state
    from pyrunc.process.hooks import run_poststop

    record = new_record(draft)
    state = hook_state(record, status.STOPPED, 0)
    for warning in run_poststop(hooks.sections("poststop"), state, record.bundle, record.annotations):
        draft.settings.notice(warning)


def resources(config: Config) -> "Section | None":
    """linux.resources."""
    linux = config.section("linux")
    return linux.section("resources") if linux is not None else None


def seccomp_filter(settings: "Settings", config: Config, host: Host) -> bytes:
    """The compiled linux.seccomp, b"" without one."""
    linux = config.section("linux")
    section = linux.section("seccomp") if linux is not None else None
    if section is None:
        return b""
    from pyrunc.seccomp import cache

    return cache.load(section, host.machine, f"{settings.root}/{cache.DIRECTORY}")


def check_terminal(*, terminal: bool, detach: bool, console_socket: "str | None") -> None:
    """The rules of runc: a terminal needs somebody who holds its other end."""
    if detach and terminal and not console_socket:
        raise UsageError("cannot allocate tty if pyrunc will detach without setting console socket")
    if console_socket and not (detach and terminal):
        raise UsageError("cannot use console socket if pyrunc will not detach or allocate tty")


def _check_root(config: Config) -> None:
    """Refuse a root that is missing, or no directory, before anything is made."""
    path = rootfs.path(config)
    try:
        mode = posix.stat(path).st_mode
    except OSError as error:
        from pyrunc.process.look import blame

        found = blame(path, denied=True)
        raise ConfigError(f'"{path}": {reason(error.errno)}' + (f": {found}" if found else ""), "/root/path") from error
    if mode & S_IFMT != S_IFDIR:
        raise ConfigError(f'"{path}" is no directory', "/root/path")


def _add_maps(config: Config, host: Host, wanted: Namespaces) -> None:
    """A new user namespace without mappings gets the default ones, which the saved config then has."""
    if wanted.new(CLONE_NEWUSER) and not config.require("linux").array("uidMappings"):
        from pyrunc.process.idmap import add_default

        add_default(config, host)


def _rdt(config: Config, container_id: str) -> "Group | None":
    linux = config.section("linux")
    section = linux.section("intelRdt") if linux is not None else None
    if section is None:
        return None
    from pyrunc.process.intel_rdt import Group, root

    return Group(section, container_id, root(section))


def _check_devices(config: Config, host: Host) -> None:
    linux = config.section("linux")
    devices = linux.section("netDevices") if linux is not None else None
    if devices is not None and devices.data:
        from pyrunc.container.net_devices import check_devices

        check_devices(config, host)


def _check_hooks(config: Config) -> None:
    """Refuse a hook that could not run before anything is made."""
    hooks = config.section("hooks")
    if hooks is None:
        return
    from pyrunc.process.hooks import check_hook

    for kind in HOOKS:
        for hook in hooks.sections(kind):
            check_hook(hook)


def _socket_activation(config: Config) -> int:
    """sd_listen_fds(3): the descriptors that systemd gave us are the container's, and its environment says so.

    Variables that an engine inherited and passed on are about its descriptors: LISTEN_PID must be this process.
    """
    count = posix.environ.get(b"LISTEN_FDS", b"")
    process = config.section("process")
    ours = posix.environ.get(b"LISTEN_PID") == b"%d" % posix.getpid()
    if not ours or not count.isdigit() or len(count) > 6 or not int(count) or process is None:
        return 0
    added = [f"LISTEN_FDS={int(count)}", "LISTEN_PID=1"]
    names = posix.environ.get(b"LISTEN_FDNAMES")
    if names:
        added.append("LISTEN_FDNAMES=" + names.decode("utf-8", "replace"))
    process.data["env"] = [*process.texts("env"), *added]
    return int(count)
