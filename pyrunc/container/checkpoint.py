# SPDX-License-Identifier: Apache-2.0
"""`checkpoint`: criu writes the processes of a container to files, from which `restore` brings them back."""

import posix

from pyrunc.cgroups.files import read
from pyrunc.config.dump import dump
from pyrunc.config.fields import Config
from pyrunc.container.criu_yard import Yard
from pyrunc.container.query import status_of
from pyrunc.container.start import saved_config
from pyrunc.criu import messages, mounts, session
from pyrunc.errors import ConfigError, HostError
from pyrunc.linux.errnos import reason
from pyrunc.plan.namespaces import Namespaces
from pyrunc.process.look import View
from pyrunc.state import status
from pyrunc.state.record import process_stat
from pyrunc.state.store import open_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.driver import Cgroup
    from pyrunc.container.settings import Settings
    from pyrunc.criu.messages import Message
    from pyrunc.criu.mounts import Pair
    from pyrunc.criu.options import Options
    from pyrunc.state.record import Record
    from pyrunc.state.store import Entry

LOG = "dump.log"
DESCRIPTORS = "descriptors.json"
"""A file beside CRIU's, as runc writes it: what 0, 1 and 2 were connected with."""

LOCK_SECONDS = 10.0
EXTERNAL = {"network": ("net", "extRootNetNS"), "pid": ("pid", "extRootPidNS")}
"""The namespaces that CRIU finds again and does not save, where they were given by path: its word, and runc's key."""


def checkpoint(settings: "Settings", container_id: str, options: "Options") -> None:
    """Save a running or paused container, and delete it, unless --leave-running or --pre-dump is given.

    After an error it runs (or is paused) as before. StatusError; HostError without criu or root; CriuError.
    """
    entry = open_entry(settings.root, container_id)
    try:
        entry.lock(LOCK_SECONDS)
        record = status.load(entry)
        before = status_of(entry, record)
        status.require("checkpoint", record.id, before)
        config = saved_config(entry, record)
        if entry.exists("notify"):
            from pyrunc.process.notify import FOLDER, add_mount

            add_mount(config, f"{entry.path}/{FOLDER}")
        criu = ready("checkpoint")
        try:
            _dump(criu, entry, record, config, options, paused=before == status.PAUSED)
        finally:
            options.close()
        if not options.leave_running:
            from pyrunc.container.delete import delete_locked

            delete_locked(settings, entry, force=True)
    finally:
        entry.close()


def ready(verb: str) -> str:
    """The path of a criu that can be used. HostError when there is none, or the caller is not root."""
    if posix.geteuid() != 0:
        raise HostError(f"{verb} needs root: criu saves and makes processes of other users, and namespaces")
    criu = session.find()
    session.version(criu)
    return criu


def _dump(criu: str, entry: "Entry", record: "Record", config: Config, options: "Options", *, paused: bool) -> None:
    if options.pre_dump:
        lack = "criu cannot track changes of memory on this kernel (CONFIG_MEM_SOFT_DIRTY)"
        session.require(criu, "mem_track", "--pre-dump", lack)
    if options.chosen.get("lazy_pages"):
        _check_status(options.status_fd)
        session.require(criu, "lazy_pages", "--lazy-pages", "this kernel lets criu use no userfaultfd(2)")
    options.open_directories(make=True)
    kind = messages.PRE_DUMP if options.pre_dump else messages.DUMP
    request = _request(record, config, options)
    if not options.pre_dump:
        request |= _outside(record, config, options)
    from pyrunc.cgroups.driver import from_state

    cgroup = from_state(record.cgroup)
    request["freeze_cgroup"] = _freezer(cgroup, paused=paused) or None
    yard = Yard(entry)
    request["cgroup_yard"] = yard.path or None
    talk = session.start(criu)
    try:
        response = talk.ask({"type": kind, "opts": request}, lambda name, _, __: _notice(options, name))
    finally:
        # After a pre-dump criu waits for the next one until we hang up
        talk.close()
        yard.remove()
        if not paused and status.is_alive(record):
            cgroup.thaw()
    if not response.get("success"):
        raise session.failure(kind, response, options.said())


def _freezer(cgroup: "Cgroup", *, paused: bool) -> str:
    """The cgroup that criu is to freeze; "" for none, so that it stops one process after the other.

    A process that is stopped cannot be attached to while a freezer of v1 holds it: PTRACE_SEIZE waits for ever for the
    change of its state (ptrace_attach in kernel/ptrace.c).
    """
    if cgroup.mode == "v2":
        return cgroup.paths.get("", "")
    if not any(_is_stopped(pid) for pid in cgroup.pids()):
        return cgroup.paths.get("freezer", "")
    if paused:
        raise HostError("the container has a stopped process (SIGSTOP), and criu cannot save it while it is paused")
    return ""


def _is_stopped(pid: int) -> bool:
    """By a signal; where a freezer holds it, its state is that of all others, but not where in the kernel it is."""
    stat = process_stat(pid)
    try:
        return stat is not None and (stat[0] == "T" or read(f"/proc/{pid}/wchan") == "do_signal_stop")
    except OSError:
        return False


def _request(record: "Record", config: Config, options: "Options") -> "Message":
    found = {**options.request(config), "pid": record.pid, "root": record.rootfs}
    external = []
    linux = config.section("linux")
    for row in linux.sections("namespaces") if linux is not None else ():
        word, key = EXTERNAL.get(row.text("type"), ("", ""))
        if row.text("path", "") and word:
            try:
                # Of the process, as the path may lead elsewhere by now
                number = posix.stat(f"/proc/{record.pid}/ns/{word}").st_ino
            except OSError as error:
                raise ConfigError(f"cannot be looked at: {reason(error.errno)}", row.at("path")) from error
            external.append(f"{word}[{number}]:{key}")
    found["external"] = external
    return found


def _outside(record: "Record", config: Config, options: "Options") -> "Message":
    """Mounts, and files behind 0, 1 and 2, that are not the container's; these are written down beside the images."""
    with open(f"/proc/{record.pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        text = file.read()
    view = View(record.pid)
    try:
        pairs: list[Pair] = mounts.external(
            config,
            mounts.table(text),
            lambda path: real(view, path),
            bound_cgroups=not Namespaces(config).private("cgroup"),
        )
    finally:
        view.close()
    known = {line.partition(" ")[0] for line in text.splitlines()}
    kept = [described(record.pid, fd, known) for fd in range(3)]
    if not _has_terminal(config):
        # What was given, as the first process may have a pipe of its own there by now (exec > >(tee log))
        given = [*record.pipes, "", "", ""]
        kept = [given[fd] or ("" if text.startswith("pipe:") else text) for fd, text in enumerate(kept)]
    _write(options, kept)
    found: Message = {"ext_mnt": pairs}
    if files := [text for text in kept if text.startswith("file[")]:
        found["external"] = [*_request(record, config, options)["external"], *files]  # type: ignore[misc]
    return found


def _has_terminal(config: Config) -> bool:
    process = config.section("process")
    return process is not None and process.flag("terminal")


def real(view: View, path: str, below: str = "") -> str:
    """`path` without symlinks, as the View has it; `below`: the path of its root here. One that is not there stays."""
    fd = view.open(path)
    if fd < 0:
        return path
    try:
        found = posix.readlink(f"/proc/self/fd/{fd}")
    finally:
        posix.close(fd)
    return (found[len(below) :] or "/") if found == below or found.startswith(f"{below}/") else path


def described(pid: int, fd: int, mounts_inside: "set[str]") -> str:
    """What a descriptor of a process is connected with, as runc writes it; a file that no mount of the container has
    is `file[MOUNT:INODE]` in hexadecimal, the key under which CRIU takes one for external.
    """
    path = f"/proc/{pid}/fd/{fd}"
    try:
        link = posix.readlink(path)
        facts = posix.stat(path)
        with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
            mount = next((line.split()[1] for line in file if line.startswith("mnt_id:")), "")
    except OSError:
        return ""
    is_file = facts.st_mode & 0o170000 == 0o100000
    return f"file[{int(mount):x}:{facts.st_ino:x}]" if is_file and mount and mount not in mounts_inside else link


def _write(options: "Options", kept: list[str]) -> None:
    try:
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC | posix.O_NOFOLLOW
        fd = posix.open(DESCRIPTORS, flags, 0o600, dir_fd=options.images)
        try:
            posix.write(fd, dump(kept).encode("ascii"))
        finally:
            posix.close(fd)
    except OSError as error:
        raise HostError(f"--image-path {options.image_path}/{DESCRIPTORS}: {reason(error.errno)}") from error


def _check_status(fd: int) -> None:
    """--status-fd must be open for writing."""
    if fd < 0:
        return
    from fcntl import F_GETFL, fcntl

    try:
        if fcntl(fd, F_GETFL) & posix.O_ACCMODE == posix.O_RDONLY:
            raise HostError(f"--status-fd {fd}: is not open for writing")
    except OSError as error:
        raise HostError(f"--status-fd {fd}: {reason(error.errno)}") from error


def _notice(options: "Options", name: str) -> None:
    if name == "status-ready" and options.status_fd >= 0:
        # The page server waits for restore to come for the pages
        posix.write(options.status_fd, b"\0")
        posix.close(options.status_fd)
        options.status_fd = -1
