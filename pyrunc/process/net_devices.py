# SPDX-License-Identifier: Apache-2.0
"""linux.netDevices: interfaces move into the container's network namespace with their addresses, and, when create
fails, back: config-linux.md#network-devices, rtnetlink(7). The library pyroute2 (0.13 s) is loaded only here.
"""

import posix

from pyrunc.config.net_device_rules import devices
from pyrunc.errors import ConfigError, HostError, PyruncError
from pyrunc.linux.errnos import reason
from pyrunc.plan.net_devices import entrance
from pyrunc.plan.ops import REPORT_SYNC
from pyrunc.process.pidfd import pidfd_getfd
from pyrunc.process.spawn import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.config.fields import Config

    Note = Callable[[str], None]

_POINTER = "/linux/netDevices"
_IFF_UP = 1
_PERMANENT = 0x80
_KEPT_FLAGS = 0x02 | 0x10 | 0x200 | 0x400
"""IFA_F_NODAD, HOMEADDRESS, NOPREFIXROUTE, MCAUTOJOIN; the others tell what the kernel made of an address."""
_KEPT = ("IFA_ADDRESS", "IFA_LOCAL", "IFA_BROADCAST", "IFA_LABEL", "IFA_RT_PRIORITY")
_ENODEV = 19


class Device:
    """One interface on its way. outside, inside: its names; index: of the host; new: in the container; up: whether it
    was; addresses: those that it is to keep, as the words of IPRoute.addr.
    """

    __slots__ = ("addresses", "index", "inside", "new", "outside", "up")

    def __init__(
        self, outside: str, inside: str, index: int, new: int, *, up: bool, addresses: "list[dict[str, Any]]"
    ) -> None:
        self.outside = outside
        self.inside = inside
        self.index = index
        self.new = new
        self.up = up
        self.addresses = addresses

    def text(self) -> str:
        """As the journal has it."""
        from pyrunc.config.dump import dump

        return dump({name: getattr(self, name) for name in self.__slots__})


def from_text(text: str) -> Device:
    """The device of a line of the journal."""
    from pyrunc.config.load import parse

    data: Any = parse(text.encode(), "journal")
    return Device(**data)


def check(config: "Config") -> None:
    """Refuse what cannot be moved, before anything is made (SPEC-210)."""
    import _socket

    _library()
    for name, _, section in devices(config):
        try:
            _socket.if_nametoindex(name)
        except OSError as error:
            raise ConfigError(f"there is no network device {name}", section.pointer) from error


def _library() -> "Any":
    try:
        import pyroute2
    except ImportError as error:
        raise HostError(f"needs the Python package pyroute2: {error}", _POINTER) from error
    return pyroute2


class Mover:
    """The two sides: the host's network namespace and the one of `network`, a descriptor of it (or of a process)."""

    __slots__ = ("_host", "_inside", "moved")

    def __init__(self, network: int, machine: str) -> None:
        library = _library()
        self.moved: list[Device] = []
        self._inside = library.IPRoute(fileno=_socket_inside(network, machine))
        self._host = library.IPRoute()

    def close(self) -> None:
        self._inside.close()
        self._host.close()

    def move_in(self, config: "Config", pid: int, note: "Note") -> None:
        """Move all of linux.netDevices into the network namespace of `pid`; `note` writes the journal before each."""
        for name, inside, section in devices(config):
            try:
                device = self._look(name, inside, section.pointer)
                note(device.text())
                self.moved.append(device)
                self._host.link("set", index=device.index, net_ns_pid=pid, ifname=inside, new_ifindex=device.new)
                label = self._name(device.new)
                for address in device.addresses:
                    _add(self._inside, device.new, address, name, label)
                self._inside.link("set", index=device.new, state="up")
            except _errors() as error:
                cause = f"cannot move the network device {name}: {reason(error.code)}"
                raise ConfigError(cause, section.pointer) from error

    def move_back(self, found: "list[Device]") -> list[str]:
        """Give the host back what is in the container by now; what went wrong, one line each."""
        said = []
        for device in reversed(found):
            try:
                if not list(self._inside.get_links(device.new)):
                    continue
                own = posix.getpid()
                self._inside.link(
                    "set", index=device.new, net_ns_pid=own, ifname=device.outside, new_ifindex=device.index
                )
                for address in device.addresses:
                    _add(self._host, device.index, address, device.outside, device.outside)
                if device.up:
                    self._host.link("set", index=device.index, state="up")
            except _errors() as error:
                if error.code != _ENODEV:
                    said.append(f"network device {device.outside} cannot be moved back: {reason(error.code)}")
        return said

    def _look(self, name: str, inside: str, pointer: str) -> Device:
        links = {_attribute(link, "IFLA_IFNAME"): link for link in self._host.get_links()}
        taken = {_attribute(link, "IFLA_IFNAME"): link["index"] for link in self._inside.get_links()}
        if name not in links:
            raise ConfigError(f"there is no network device {name}", pointer)
        if "%" not in inside and inside in taken:
            raise ConfigError(f"an interface of the name {inside} is in the container already", pointer)
        index = links[name]["index"]
        used = set(taken.values())
        new = index if index not in used else max(used) + 1
        addresses = [_kept(row) for row in self._host.get_addr(index=index) if _stays(row)]
        return Device(name, inside, index, new, up=bool(links[name]["flags"] & _IFF_UP), addresses=addresses)

    def _name(self, index: int) -> str:
        return str(_attribute(next(iter(self._inside.get_links(index))), "IFLA_IFNAME"))


def _add(side: "Any", index: int, address: "dict[str, Any]", before: str, after: str) -> None:
    """Give an interface an address, whose label may have the old name of the interface in it."""
    words = dict(address)
    if "label" in words:
        words["label"] = _label(words["label"], before, after)
    side.addr("add", index=index, **words)


def _errors() -> "type[Any]":
    from pyroute2.netlink import exceptions

    found: type[Any] = exceptions.NetlinkError
    return found


def _attribute(row: "Any", name: str) -> "Any":
    return dict(row["attrs"]).get(name)


def _stays(row: "Any") -> bool:
    """A permanent address of global scope: what was learnt of routers or by DHCP is not the runtime's to carry over."""
    flags = _attribute(row, "IFA_FLAGS") or row["flags"]
    return row["scope"] == 0 and bool(flags & _PERMANENT)


def _kept(row: "Any") -> "dict[str, Any]":
    words = {name.removeprefix("IFA_").lower(): value for name, value in row["attrs"] if name in _KEPT}
    flags = _attribute(row, "IFA_FLAGS") or row["flags"]
    kept = {"family": row["family"], "prefixlen": row["prefixlen"], "scope": row["scope"], "flags": flags & _KEPT_FLAGS}
    return words | kept


def _label(label: str, before: str, after: str) -> str:
    """A label begins with the name of its interface; one that does not fit any more is that name."""
    changed = after + label.removeprefix(before)
    return changed if label.startswith(before) and len(changed) < 16 else after


def _socket_inside(network: int, machine: str) -> int:
    """A netlink socket in the network namespace, by a run of pyrunc-init."""
    program = entrance(machine)
    helper = spawn(program, {"network": network}, 0)
    try:
        report = helper.report()
        if report is None:
            raise HostError("pyrunc-init was killed while it joined a network namespace")
        if report.kind != REPORT_SYNC:
            from pyrunc.process.explain import failure

            error: PyruncError = failure(program, report, helper.pid, None, "")
            raise error
        pidfd = posix.pidfd_open(helper.pid)
        try:
            return pidfd_getfd(pidfd, report.value >> 16 & 0xFFFF, machine)
        except OSError as error:
            raise HostError(f"pidfd_getfd: {reason(error.errno)}", _POINTER) from error
        finally:
            posix.close(pidfd)
    finally:
        helper.close()
        helper.reap()
