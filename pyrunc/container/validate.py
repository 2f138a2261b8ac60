# SPDX-License-Identifier: Apache-2.0
"""`validate`: everything that is wrong with a config.json, at once, by the schema and by the readers that create uses.

These stop at the first mistake. Here what they refuse is struck out, and they read again, until they are content:
create's own code says what is wrong, and pays nothing for it. What is refused only because something else was struck
out is not reported.
"""

from pyrunc.cgroups import resources
from pyrunc.config import schema
from pyrunc.config.advice import advice, tied
from pyrunc.config.capability_sets import SETS
from pyrunc.config.fields import Config, Section
from pyrunc.config.findings import ERROR, WARNING, Finding, closest, keys, member, shown
from pyrunc.config.validate import HOOKS, RULES, WARNINGS
from pyrunc.errors import ConfigError, PyruncError
from pyrunc.linux.capabilities import CAPABILITIES
from pyrunc.linux.host import Host
from pyrunc.linux.namespaces import NAMESPACES
from pyrunc.plan import device_filter
from pyrunc.plan.compile import Choices, container, process
from pyrunc.process.hooks import check_hook
from pyrunc.seccomp import profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Reader = Callable[[Config], object]

_ALLOW = b"\x06\0\0\0\0\0\xff\x7f"
"""A filter of one instruction, in place of the compiled one: only its rules are looked at here."""
_INSTEAD: dict[str, object] = {
    "/ociVersion": "1.0.0",
    "/root": {"path": "rootfs"},
    "/root/path": "rootfs",
    "/process/args": ["sh"],
    "/process/cwd": "/",
}
"""What the readers are given for a required value that was struck out, so that they read on."""


def ideal() -> Host:
    """A host that can do everything: what is refused there is refused by the file itself."""
    return Host(lsm=("apparmor", "selinux"), cgroups=(("", "", "/sys/fs/cgroup", "/x"),))


def check(data: object, wrong: "set[str]", *, host: "Host | None" = None, bundle: str = "") -> "list[Finding]":
    """The findings in a parsed config.json. wrong: pointers of what is known to be wrong; host: find also what it
    cannot do; bundle: the folder of root and bind sources, "" when there is none.
    """
    value = _without_nulls(data)
    found = schema.findings(schema.load("config"), value)
    found = [finding for finding in found if finding.pointer not in wrong]
    if not isinstance(value, dict):
        return found
    draft = _Draft(value, wrong | {finding.pointer for finding in found if finding.level == ERROR})
    for reader in readers(ideal()):
        found += draft.read(reader)
    found += draft.read_both(limits(v2=False), limits(v2=True))
    if host is not None:
        from pyrunc.container.host_checks import CHECKS

        for one in CHECKS:
            found += draft.on(host, bundle, one)
    return found + draft.warnings()


def readers(host: Host) -> "list[Reader]":
    """What create reads a config.json with, in its order, but the limits, of which each version of cgroups has its own.

    Each raises PyruncError for the first thing that it refuses.
    """

    def choices(config: Config) -> Choices:
        linux = config.section("linux")
        return Choices(bpf=_ALLOW if linux is not None and linux.has("seccomp") else b"")

    return [
        *RULES,
        _hooks,
        device_filter.of_config,
        _seccomp,
        lambda config: container(config, host, choices(config)),
        lambda config: process(config, host, choices(config), 0) if config.has("process") else None,
    ]


def limits(*, v2: bool) -> "Reader":
    """The reader of linux.resources for one version of cgroups."""

    def read(config: Config) -> None:
        section = (config.section("linux") or Section({})).section("resources")
        resources.warnings(section)
        resources.writes(section, v2)

    return read


def _ignored(config: Config) -> list[str]:
    return resources.warnings((config.section("linux") or Section({})).section("resources"))


def _hooks(config: Config) -> None:
    hooks = config.section("hooks") or Section({})
    for kind in HOOKS:
        for hook in hooks.sections(kind):
            check_hook(hook)


def _seccomp(config: Config) -> None:
    section = (config.section("linux") or Section({})).section("seccomp")
    if section is not None:
        profile.check(section)


class _Draft:
    """A config.json, and the pointers of what is struck out of it."""

    def __init__(self, data: "dict[str, object]", struck: "set[str]") -> None:
        self._data = data
        self._struck = struck
        self._any_namespace = any(pointer.startswith("/linux/namespaces") for pointer in struck)

    def on(self, host: Host, bundle: str, look: "Callable[[Config, Host], Iterable[Finding]]") -> "list[Finding]":
        """What a look at the host finds about what is left; what is left may be too little for it."""
        copy = _Copy(self._data, self._struck, self._any_namespace)
        found = []
        try:
            for finding in look(Config(copy.data, bundle), host):
                finding.pointer = copy.original(finding.pointer)
                if not finding.pointer or not _follows(finding.pointer, self._struck):
                    found.append(finding)
        except PyruncError:
            pass
        return found

    def read(self, reader: "Reader") -> "list[Finding]":
        """What a reader refuses; struck out from now on."""
        found = []
        beside = set(self._struck)  # and what only this reader has to go without
        while True:
            copy = _Copy(self._data, beside, self._any_namespace)
            try:
                reader(Config(copy.data, "/bundle"))
            except PyruncError as error:
                pointer = copy.original(error.pointer)
                if isinstance(error, ConfigError) and not _follows(pointer, beside):
                    found.append(advice(pointer, error.cause, _at(self._data, pointer)))
                    self._struck.add(pointer)
                if not self._strike(pointer, beside):
                    return found
            else:
                return found

    def read_both(self, one: "Reader", other: "Reader") -> "list[Finding]":
        """What both readers refuse, each for a reason of its own."""
        known = set(self._struck)
        first = self.read(one)
        self._struck = set(known)
        pointers = {finding.pointer for finding in self.read(other)}
        found = [finding for finding in first if finding.pointer in pointers]
        self._struck = known | {finding.pointer for finding in found}
        return found

    def warnings(self) -> "list[Finding]":
        """What a runtime takes all the same."""
        copy = _Copy(self._data, self._struck, self._any_namespace)
        config = Config(copy.data, "/bundle")
        found = []
        for rule in (*WARNINGS, _ignored):
            try:
                lines = rule(config)
            except PyruncError:
                continue
            for line in lines:
                pointer, _, text = line.partition(": ")
                pointer = copy.original(pointer)
                finding = advice(pointer, text, _at(self._data, pointer))
                finding.level = WARNING
                found.append(finding)
        for finding in _capabilities(config):
            finding.pointer = copy.original(finding.pointer)
            found.append(finding)
        return found

    def _strike(self, pointer: str, struck: "set[str]") -> bool:
        """Strike what stands at a pointer, else what it depends on, else what is around it; False: nothing is left."""
        while pointer:
            for one in (pointer, *tied(pointer)):
                if _at(self._data, one) is not None and not _within(one, struck):
                    struck.add(one)
                    return True
            pointer = pointer.rpartition("/")[0]
        return False


class _Copy:
    """What is left of a value when the pointers in `struck` are left out, and where its parts stood before."""

    def __init__(self, data: "dict[str, object]", struck: "set[str]", any_namespace: bool) -> None:
        self._moved: dict[str, str] = {}
        copied = self._copy(data, "", "", struck)
        self.data: dict[str, object] = copied if isinstance(copied, dict) else {}
        for pointer, value in _INSTEAD.items():
            parent, _, key = pointer.rpartition("/")
            place = _at(self.data, parent)
            if pointer in struck and isinstance(place, dict) and key not in place and parent not in struck:
                place[key] = value
        if any_namespace:
            self._add_namespaces()

    def original(self, pointer: str) -> str:
        """Where in the whole value stood what stands there in the copy."""
        head, tail = pointer, ""
        while head and head not in self._moved:
            head, _, key = head.rpartition("/")
            tail = f"/{key}{tail}"
        return self._moved.get(head, "") + tail

    def _copy(self, value: object, pointer: str, place: str, struck: "set[str]") -> object:
        if isinstance(value, dict):
            rows = [(key, member(pointer, key)) for key in value]
            return {
                key: self._copy(value[key], one, member(place, key), struck) for key, one in rows if one not in struck
            }
        if isinstance(value, list):
            found: list[object] = []
            for index, one in enumerate(value):
                if f"{pointer}/{index}" not in struck:
                    if len(found) != index:
                        self._moved[f"{place}/{len(found)}"] = f"{pointer}/{index}"
                    found.append(self._copy(one, f"{pointer}/{index}", f"{place}/{len(found)}", struck))
            return found
        return value

    def _add_namespaces(self) -> None:
        """One that cannot be read could have been any: what needs one is not refused for the lack of it."""
        linux = self.data.get("linux")
        if isinstance(linux, dict):
            rows = linux.setdefault("namespaces", [])
            there = [row.get("type") for row in rows]
            rows += [{"type": name} for name in NAMESPACES if name not in there]


def _follows(pointer: str, struck: "set[str]") -> bool:
    """Whether it is about something that was struck out, or is around it, or depends on it."""
    if any(one == pointer or one.startswith(f"{pointer}/") for one in struck):
        return True
    return any(one == other or one.startswith(f"{other}/") for other in tied(pointer) for one in struck)


def _within(pointer: str, struck: "set[str]") -> bool:
    while pointer and pointer not in struck:
        pointer = pointer.rpartition("/")[0]
    return bool(pointer)


def _at(value: object, pointer: str) -> object:
    """What stands at a pointer; None when nothing does."""
    for key in keys(pointer):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _without_nulls(value: object) -> object:
    """Without the members that are null, as engines written in Go write absent ones."""
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def _capabilities(config: Config) -> "list[Finding]":
    """Warnings of names that no kernel has (SPEC-107)."""
    section = (config.section("process") or Section({})).section("capabilities") or Section({})
    found = []
    for name in SETS:
        for index, word in enumerate(section.texts(name)):
            if word not in CAPABILITIES:
                meant = closest(word, list(CAPABILITIES))
                text = f'"{word}" is no capability, and is left out' + (f': write "{meant}"' if meant else "")
                pointer = f"{section.at(name)}/{index}"
                found.append(Finding(pointer, text, "SPEC-107", expected=meant, found=shown(word), level=WARNING))
    return found
