# SPDX-License-Identifier: Apache-2.0
"""linux.intelRdt: a class of service and a monitoring group in resctrl: config-linux.md#intelrdt,
Documentation/filesystems/resctrl.rst.
"""

import posix

from pyrunc.errors import ConfigError
from pyrunc.linux.errnos import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.config.fields import Section

_MOUNTINFO = "/proc/self/mountinfo"
_READ_MAX = 1 << 16
_SCHEMAS = ("l3CacheSchema", "memBwSchema")


def mounted() -> str:
    """Where resctrl is mounted; "" where it is not."""
    with open(_MOUNTINFO, "rb") as file:
        for line in file:
            before, _, after = line.partition(b" - ")
            if after.startswith(b"resctrl "):
                return before.split()[4].decode("utf-8", "surrogateescape")
    return ""


def root(section: "Section") -> str:
    """The same; ConfigError with the section's pointer where it is not mounted."""
    found = mounted()
    if not found:
        raise ConfigError("Intel RDT is not available: no resctrl filesystem is mounted", section.pointer)
    return found


def of_running(section: "Section", container_id: str) -> "Group":
    """The group of a container that is there: for `exec`, `update`."""
    group = Group.__new__(Group)
    group.place(section, container_id, root(section))
    return group


class Group:
    """The control group of a container, and its monitoring group ("" without one).

    own: those of both that delete removes; existed: whether the control group was there before.
    """

    __slots__ = ("_made", "_resctrl", "_section", "existed", "monitoring", "own", "path")

    def __init__(self, section: "Section", container_id: str, resctrl: str) -> None:
        """Look, and refuse what cannot be; nothing is made."""
        self.place(section, container_id, resctrl)
        name = section.text("closID", "")
        if name and not self.existed and not schemata(section):
            raise section.refuse("closID", f"there is no class of service {name}, and no schema to make it with")
        if not name and self.existed:
            raise section.refuse("closID", f"is not set, and a class of service {container_id} exists already")
        if name and self.existed:
            self._compare()

    def place(self, section: "Section", container_id: str, resctrl: str) -> None:
        """Where the group is, whatever is there."""
        name = section.text("closID", "")
        self._section = section
        self._resctrl = resctrl
        self._made: list[str] = []
        self.path = resctrl if name == "/" else f"{resctrl}/{name or container_id}"
        self.existed = _is_group(self.path)
        monitored = section.flag("enableMonitoring")
        self.monitoring = f"{self.path}/mon_groups/{container_id}" if monitored else ""
        # Made last, removed first
        self.own = [self.path] if not name else []
        if monitored:
            self.own.append(self.monitoring)

    def create(self) -> None:
        """Make what is missing, with its schemata; ConfigError with the field that the kernel refuses."""
        if not self.existed:
            self._mkdir(self.path, self._section.pointer)
            for pointer, text in schemata(self._section):
                self._write(f"{self.path}/schemata", text + "\n", pointer)
        if self.monitoring:
            self._mkdir(self.monitoring, self._section.at("enableMonitoring"))

    def join(self, pid: int) -> None:
        """Put a process, while it has one thread, into the group, and into the monitoring group below it."""
        self._write(f"{self.path}/tasks", str(pid), self._section.pointer)
        if self.monitoring:
            self._write(f"{self.monitoring}/tasks", str(pid), self._section.at("enableMonitoring"))

    def update(self, changed: "Section") -> None:
        """Write other schemata; ConfigError with the field of `changed`."""
        for pointer, text in schemata(changed):
            self._write(f"{self.path}/schemata", text + "\n", pointer)

    def undo(self) -> None:
        """Remove all that `create` has made."""
        remove(self._made)
        self._made = []

    def _mkdir(self, path: str, pointer: str) -> None:
        try:
            _mkdir(path)
        except OSError as error:
            raise ConfigError(f"cannot make {path}: {reason(error.errno)}{self._said()}", pointer) from error
        self._made.append(path)

    def _write(self, path: str, text: str, pointer: str) -> None:
        try:
            fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW)
            try:
                posix.write(fd, text.encode())
            finally:
                posix.close(fd)
        except OSError as error:
            cause = f'cannot write "{text.strip()}" to {path}: {reason(error.errno)}{self._said()}'
            raise ConfigError(cause, pointer) from error

    def _said(self) -> str:
        """What the kernel says of the last command in words."""
        try:
            text = _read(f"{self._resctrl}/info/last_cmd_status").strip()
        except OSError:
            return ""
        return f": {text}" if text and text != "ok" else ""

    def _compare(self) -> None:
        """A class of service that is there must be as it is wanted (SPEC-281)."""
        wanted = schemata(self._section)
        if not wanted:
            return
        there = _parse(_read(f"{self.path}/schemata"))
        for pointer, text in wanted:
            for resource, domains in _parse(text).items():
                for domain, value in domains.items():
                    found = there.get(resource, {}).get(domain)
                    if found != value:
                        has = "nothing" if found is None else f"{found:x}" if type(found) is int else found
                        cause = f"the class of service exists, and has {has} for {resource}:{domain}"
                        raise ConfigError(f"{cause}: {text.strip()} is wanted", pointer)


def schemata(section: "Section") -> list[tuple[str, str]]:
    """(pointer, lines) in the order of writing: the cache, the bandwidth, and then what may say more than both."""
    found = [(section.at(key), section.text(key, "")) for key in _SCHEMAS]
    lines = section.texts("schemata")
    found += [(f"{section.at('schemata')}/{index}", line) for index, line in enumerate(lines)]
    return [(pointer, text) for pointer, text in found if text]


def remove(paths: list[str]) -> None:
    """Remove groups, the last first; their tasks fall back to the group above. One that is gone is no error."""
    for path in reversed(paths):
        try:
            _rmdir(path)
        except OSError:
            continue


def is_own(path: str, container_id: str, resctrl: str) -> bool:
    """Whether a path that the journal names can be of pyrunc's making: a group of the container's name."""
    folder, _, name = path.rpartition("/")
    if name != container_id or ".." in path.split("/"):
        return False
    return folder == resctrl or (folder.startswith(f"{resctrl}/") and folder.endswith("/mon_groups"))


def _parse(text: str) -> "dict[str, dict[str, int | str]]":
    """Resource -> domain -> value: bit masks of caches are hexadecimal, bandwidths decimal."""
    found: dict[str, dict[str, int | str]] = {}
    for line in text.split("\n"):
        resource, colon, rest = line.strip().partition(":")
        if not colon:
            continue
        domains = found.setdefault(resource.strip(), {})
        for part in rest.split(";"):
            domain, _, value = part.partition("=")
            domains[_domain(domain.strip())] = _value(value.strip(), 10 if resource.strip() == "MB" else 16)
    return found


def _domain(text: str) -> str:
    return text.lstrip("0") or "0"


def _value(text: str, base: int) -> "int | str":
    try:
        return int(text, base)
    except ValueError:
        return text


def _is_group(path: str) -> bool:
    try:
        posix.stat(f"{path}/tasks")
    except OSError:
        return False
    return True


def _read(path: str) -> str:
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    try:
        return posix.read(fd, _READ_MAX).decode("utf-8", "backslashreplace")
    finally:
        posix.close(fd)


def _mkdir(path: str) -> None:
    posix.mkdir(path, 0o755)


def _rmdir(path: str) -> None:
    posix.rmdir(path)
