# SPDX-License-Identifier: Apache-2.0
"""What the flags of checkpoint and restore ask of CRIU, and the directories that they name."""

import posix

from pyrunc.criu import log
from pyrunc.criu.messages import CGROUP_MODES, NETWORK_LOCKS
from pyrunc.errors import HostError, UsageError
from pyrunc.linux.errnos import reason
from pyrunc.linux.uapi import CLONE_NEWNET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.config.fields import Config
    from pyrunc.criu.messages import Message

SWITCHES = (
    *("leave_running", "tcp_established", "tcp_skip_in_flight", "tcp_close", "link_remap", "ext_unix_sk", "shell_job"),
    *("lazy_pages", "file_locks", "auto_dedup"),
)
"""Flags that are options of CRIU's under the same name."""

ANNOTATION = "org.criu.config"
CONFIG_FILES = ("/etc/criu/pyrunc.conf", "/etc/criu/runc.conf")
"""Settings of the administrator, which CRIU lays over ours; the first that is there."""

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC
_DEFAULT_IMAGES = "checkpoint"
_LOG_LEVEL = 4
_X_OK = 1


class Options:
    """image_path, work_path: directories, opened by open_directories() as images and work, -1 where none was asked for.
    chosen: options of CRIU as messages.OPTIONS names them. parent_path: relative to image_path, "" without. status_fd:
    -1 without one.
    """

    __slots__ = (
        "chosen",
        "image_path",
        "images",
        "log_file",
        "parent_path",
        "pre_dump",
        "status_fd",
        "work",
        "work_path",
    )

    def __init__(self, values: "Mapping[str, object]", log_file: str) -> None:
        """`values`: of the flags by their names. UsageError for one that is wrong."""
        given = {name.replace("-", "_"): value for name, value in values.items()}
        self.log_file = log_file
        self.image_path = str(given["image_path"] or _DEFAULT_IMAGES)
        self.work_path = str(given["work_path"] or "")
        self.parent_path = str(given.get("parent_path") or "")
        self.pre_dump = bool(given.get("pre_dump"))
        status = given.get("status_fd")
        self.status_fd = status if type(status) is int else -1
        self.images = self.work = -1
        self.chosen: Message = {name: True for name in SWITCHES if given.get(name)}
        self.chosen["manage_cgroups"] = True
        self.chosen["manage_cgroups_mode"] = _cgroup_mode(str(given["manage_cgroups_mode"] or ""))
        self.chosen["empty_ns"] = _empty(given["empty_ns"])
        for name in ("lsm_profile", "lsm_mount_context"):
            self.chosen[name] = given.get(name) or None
        if given.get("page_server"):
            self.chosen["ps"] = _page_server(str(given["page_server"]))
        lock = given.get("network_lock")
        if lock is not None:
            self.chosen["network_lock"] = NETWORK_LOCKS[str(lock)]
        if self.parent_path[:1] == "/":
            raise UsageError("--parent-path must be relative, to --image-path")

    @property
    def leave_running(self) -> bool:
        return self.pre_dump or bool(self.chosen.get("leave_running"))

    def check_cgroups(self, there: "list[str]") -> None:
        """`there`: cgroups of the container that exist already, which `strict` refuses. CRIU itself would find the one
        that is made for it to be started in, and is asked for `full`, which is the same apart from that.
        """
        if self.chosen["manage_cgroups_mode"] != CGROUP_MODES["strict"]:
            return
        if there:
            raise HostError(f"--manage-cgroups-mode strict: there is a cgroup {there[0]} already")
        self.chosen["manage_cgroups_mode"] = CGROUP_MODES["full"]

    def open_directories(self, *, make: bool) -> None:
        """Open them, with `make` made where they are missing (mode 0700); HostError when that cannot be."""
        self.images = _open(self.image_path, "--image-path", make=make)
        if self.work_path:
            # Only the log goes there
            self.work = _open(self.work_path, "--work-path", make=True)
        if self.parent_path:
            try:
                posix.close(posix.open(self.parent_path, _DIRECTORY, dir_fd=self.images))
            except OSError as error:
                where = f"{self.image_path}/{self.parent_path}"
                raise HostError(f"--parent-path {where}: {reason(error.errno)}") from error

    def reopen(self, root: str) -> None:
        """Open the directories again, the same ones, below another root: that of a mount namespace."""
        before = self.images, self.work
        try:
            self.images = _again(self.images, root)
            self.work = _again(self.work, root)
        except OSError as error:
            raise HostError(f"criu cannot reach {self.image_path}: {reason(error.errno)}") from error
        finally:
            for fd in before:
                if fd >= 0 and fd not in (self.images, self.work):
                    posix.close(fd)

    def close(self) -> None:
        for fd in (self.images, self.work):
            if fd >= 0:
                posix.close(fd)
        self.images = self.work = -1

    def request(self, config: "Config") -> "Message":
        """The options that dump and restore have in common."""
        found: Message = {
            "images_dir_fd": self.images,
            "work_dir_fd": self.work if self.work >= 0 else None,
            "log_level": _LOG_LEVEL,
            "log_file": self.log_file,
            "notify_scripts": True,
            "orphan_pts_master": True,
            "parent_img": self.parent_path or None,
            "track_mem": True if self.parent_path else None,
            "config_file": _config_file(config),
            **self.chosen,
        }
        if "network_lock" not in found and not _has_iptables():
            # CRIU's own choice is iptables, of which it runs the program; nftables it has as a library
            found["network_lock"] = NETWORK_LOCKS["nftables"]
        return found

    def said(self) -> str:
        """What the log tells, as a part of an error: log.summary."""
        return log.summary(f"{(self.work_path or self.image_path).rstrip('/')}/{self.log_file}")


def _cgroup_mode(word: str) -> int:
    if word not in ("", "soft", "full", "strict", "ignore"):
        raise UsageError(f"--manage-cgroups-mode {word}: must be soft, full, strict or ignore")
    return CGROUP_MODES[word]


def _empty(names: object) -> int:
    """CRIU's mask: the network is always made empty, as it is the engine who fills it (by a hook, or a path)."""
    for name in names if type(names) is list else ():
        if name != "network":
            raise UsageError(f'--empty-ns {name}: namespace "{name}" is not supported')
    return CLONE_NEWNET


def _page_server(text: str) -> "Message":
    address, _, port = text.rpartition(":")
    if not address or not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise UsageError(f"--page-server {text}: must be ADDRESS:PORT")
    return {"address": address.removeprefix("[").removesuffix("]"), "port": int(port)}


def _open(path: str, flag: str, *, make: bool) -> int:
    try:
        if make:
            _make(path)
        return posix.open(path, _DIRECTORY)
    except OSError as error:
        raise HostError(f"{flag} {path}: {reason(error.errno)}") from error
    except ValueError as error:
        raise UsageError(f"{flag}: a NUL character cannot be in a path") from error


def _again(fd: int, root: str) -> int:
    return posix.open(root + posix.readlink(f"/proc/self/fd/{fd}"), _DIRECTORY) if fd >= 0 else -1


def _make(path: str) -> None:
    """A directory and its parents."""
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        parent = path.rstrip("/").rpartition("/")[0]
        if not parent:
            raise
        _make(parent)
        posix.mkdir(path, 0o700)


def _config_file(config: "Config") -> "str | None":
    """A file of CRIU's options: the container's own by annotation ("" is none), else the administrator's."""
    annotations = config.strings("annotations")
    if ANNOTATION in annotations:
        return annotations[ANNOTATION] or None
    return next((path for path in CONFIG_FILES if posix.access(path, posix.R_OK)), None)


def _has_iptables() -> bool:
    places = posix.environ.get(b"PATH", b"/usr/sbin:/sbin:/usr/bin:/bin")
    return any(posix.access(folder + b"/iptables-restore", _X_OK) for folder in places.split(b":") if folder)
