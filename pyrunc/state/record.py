# SPDX-License-Identifier: Apache-2.0
"""The record of a container, state.json: what later calls must know, and how its process is told from a later one.

A process is its pid, its start time and the boot: a pid alone may be another process by now.
"""

import posix

from pyrunc.errors import PyruncError, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.config.fields import Section

FORMAT = 1

_MOST_PIDS = 1 << 22  # PID_MAX_LIMIT of 64-bit kernels
_CGROUPS = "/sys/fs/cgroup"
_TEXTS = ("id", "bundle", "rootfs", "created", "status", "boot", "ociVersion", "manager")


class Record:
    """id, bundle, rootfs: absolute paths. created: RFC 3339 in UTC. owner: uid. status: as last written, see status.py.

    pid, start: the container's first process, 0 until it is known; start is field 22 of its stat. boot: the boot id.
    manager: "cgroupfs", "systemd" or "disabled", as create was told. cgroup: what the cgroup driver needs to find the
    cgroup again. annotations: of config.json. own_pids: whether it has a pid namespace of its own, so that its first
    process takes all others along. hooks: the kinds of hooks that config.json as created has. has_process: whether it
    has a process. keyring: whether its processes have a session keyring of their own. pipes: the names ("pipe:[INODE]")
    of those that it was given as 0, 1 and 2, "" where it was something else. tail: the instructions that run after
    `start`, as the errors of start show them (container.launch).
    """

    __slots__ = (
        "annotations",
        "boot",
        "bundle",
        "cgroup",
        "created",
        "has_process",
        "hooks",
        "id",
        "keyring",
        "manager",
        "oci_version",
        "own_pids",
        "owner",
        "pid",
        "pipes",
        "rootfs",
        "start",
        "status",
        "tail",
    )

    def __init__(
        self,
        *,
        id: str,
        bundle: str,
        rootfs: str,
        oci_version: str,
        created: str = "",
        status: str = "creating",
        owner: int = -1,
        pid: int = 0,
        start: int = 0,
        boot: str = "",
        manager: str = "cgroupfs",
        cgroup: "dict[str, object] | None" = None,
        annotations: "dict[str, str] | None" = None,
        own_pids: bool = True,
        hooks: "list[str] | None" = None,
        has_process: bool = True,
        keyring: bool = True,
        pipes: "list[str] | None" = None,
        tail: "list[object] | None" = None,
    ) -> None:
        """A record; what is not given is that of this moment, this user, this boot."""
        self.id = id
        self.bundle = bundle
        self.rootfs = rootfs
        self.oci_version = oci_version
        self.created = created or now()
        self.status = status
        self.owner = posix.geteuid() if owner < 0 else owner
        self.pid = pid
        self.start = start
        self.boot = boot or boot_id()
        self.manager = manager
        self.cgroup = {} if cgroup is None else cgroup
        self.annotations = {} if annotations is None else annotations
        self.own_pids = own_pids
        self.hooks = [] if hooks is None else hooks
        self.has_process = has_process
        self.keyring = keyring
        self.pipes = _pipes() if pipes is None else pipes
        self.tail = [] if tail is None else tail

    def bind(self, pid: int) -> None:
        """Take `pid`, a live child, as the container's process. StateError when there is no such process."""
        stat = process_stat(pid)
        if stat is None:
            raise StateError(f"process {pid} of the container is gone")
        self.pid, self.start = pid, stat[1]

    def to_bytes(self) -> bytes:
        """The text of state.json. StateError for a path that is not UTF-8: JSON, and so `state`, could not name it."""
        from pyrunc.config.dump import dump

        for path in (self.bundle, self.rootfs):
            try:
                path.encode("utf-8")
            except UnicodeEncodeError as error:
                raise StateError(f"{path}: the path is not UTF-8") from error
        return dump(
            {
                "format": FORMAT,
                "ociVersion": self.oci_version,
                "id": self.id,
                "status": self.status,
                "pid": self.pid,
                "start": self.start,
                "boot": self.boot,
                "bundle": self.bundle,
                "rootfs": self.rootfs,
                "created": self.created,
                "owner": self.owner,
                "manager": self.manager,
                "ownPids": self.own_pids,
                "hooks": self.hooks,
                "hasProcess": self.has_process,
                "keyring": self.keyring,
                "pipes": self.pipes,
                "tail": self.tail,
                "annotations": self.annotations,
                "cgroup": self.cgroup,
            }
        ).encode("ascii")


def from_bytes(data: bytes, path: str = "state.json") -> Record:
    """The record of a state.json; StateError naming `path` for whatever to_bytes does not write."""
    from pyrunc.config.fields import Section
    from pyrunc.config.load import parse

    try:
        section = Section(parse(data, "state.json"))
        section.integer("format", FORMAT, FORMAT)
        texts = {name: section.text(name) for name in _TEXTS}
        hooks = section.texts("hooks")
        cgroup = _cgroup(section.require("cgroup"))
        pid = section.integer("pid", 0, _MOST_PIDS)
        # The pid is given to pidfd_open: 1 is the host's init. An empty boot would be taken for this one.
        if pid == 1 or not texts["boot"] or not texts["bundle"].startswith("/"):
            raise section.refuse("pid", f"{pid}, or boot or bundle beside it, is out of range")
        return Record(
            oci_version=texts.pop("ociVersion"),
            owner=section.integer("owner", 0, 2**32 - 2),
            pid=pid,
            start=section.integer("start", 1 if pid else 0, 2**63),
            own_pids=section.flag("ownPids"),
            annotations=section.strings("annotations"),
            hooks=hooks,
            has_process=section.flag("hasProcess", default=True),
            keyring=section.flag("keyring", default=True),
            pipes=section.texts("pipes"),
            tail=section.array("tail"),
            cgroup=cgroup,
            **texts,
        )
    except PyruncError as error:
        raise StateError(f"{path} is not a record of this version of pyrunc: {error}") from error


def _pipes() -> list[str]:
    found = []
    for fd in range(3):
        try:
            link = posix.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            link = ""
        found.append(link if link.startswith("pipe:[") else "")
    return found


def _cgroup(section: "Section") -> dict[str, object]:
    """The record of the cgroup, whose processes will be killed: it must be no root of a hierarchy, but below one."""
    if section.text("root", _CGROUPS) != _CGROUPS:
        raise section.refuse("root", f"must be {_CGROUPS}")
    paths = section.strings("paths")
    deep = 2 if section.text("mode", "") in ("v1", "hybrid") else 1
    for path in (*paths.values(), *section.texts("made")):
        names = path.split("/")
        if not path.startswith(f"{_CGROUPS}/") or len(names) < 4 + deep or not all(names[1:]) or ".." in names:
            raise section.refuse("paths", f'"{path}" cannot be the cgroup of a container')
    return section.data


def process_stat(pid: int) -> "tuple[str, int] | None":
    """(state letter, start time in clock ticks since boot) of a process; None when there is none (proc_pid_stat(5))."""
    try:
        fd = posix.open(f"/proc/{pid}/stat", posix.O_RDONLY | posix.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        data = posix.read(fd, 4096)
    except ProcessLookupError:
        return None
    finally:
        posix.close(fd)
    # The name in field 2 is the process's own choice and may hold `)` and blanks.
    fields = data[data.rfind(b")") + 2 :].split()
    return fields[0].decode("ascii"), int(fields[19])


def boot_id() -> str:
    """The id of this boot of the kernel (random(4))."""
    fd = posix.open("/proc/sys/kernel/random/boot_id", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(fd, 64).decode("ascii").strip()
    finally:
        posix.close(fd)


def now() -> str:
    """This moment as RFC 3339 in UTC with nanoseconds, the zeros at their end left out, as Go writes it."""
    import time

    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    fraction = f".{nanoseconds:09}".rstrip("0").rstrip(".")
    # Not by strftime(3), which reads the file of the local time zone first.
    year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"
