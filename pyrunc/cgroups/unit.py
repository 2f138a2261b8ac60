# SPDX-License-Identifier: Apache-2.0
"""A scope of systemd: the calls of org.freedesktop.systemd1(5) that make, change and end it, each with a deadline."""

import posix
import time

from pyrunc.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.dbus import Connection, DbusError
    from pyrunc.cgroups.unit_properties import Property

SECONDS = 30.0
"""For one operation with all its calls and its job, as runc waits for a job."""
BUS = "/run/dbus/system_bus_socket"
PRIVATE = "/run/systemd/private"
_SYSTEMD = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_MANAGER = f"{_SYSTEMD}.Manager"
_EXISTS, _NONE = f"{_SYSTEMD}.UnitExists", f"{_SYSTEMD}.NoSuchUnit"
_REFUSED = ("org.freedesktop.DBus.Error.PropertyReadOnly", "org.freedesktop.DBus.Error.InvalidArgs")


class Unit:
    """name: of the scope. user: whether its manager is that of the user. made: whether it is there, and ours."""

    __slots__ = ("_connection", "made", "name", "user")

    def __init__(self, name: str, *, user: bool, made: bool = False) -> None:
        self.name = name
        self.user = user
        self.made = made
        self._connection: Connection | None = None

    def control_group(self) -> str:
        """The cgroup below which the manager has its units; "" is the root."""
        connection = self._open()
        try:
            reply = connection.call(
                _SYSTEMD, _PATH, "org.freedesktop.DBus.Properties", "Get", "ss", _MANAGER, "ControlGroup"
            )
        except CgroupError as error:
            raise self._failure(error) from error
        return str(reply[0][1]).rstrip("/")  # type: ignore[index]

    def start(self, properties: "list[Property]", limits: "list[Property]", pid: int) -> list[str]:
        """Make the scope with a process in it; returns warnings. Each of `limits` that this systemd does not know, or
        does not take, is left to the cgroup files; one of `properties` is an error.
        """
        from pyrunc.cgroups.dbus import DbusError

        connection = self._open()
        warnings: list[str] = []
        limits = list(limits)
        reset = False
        try:
            _listen(connection)
            while True:
                # A time that runs out does not tell whether the unit was made: it is ours, to be stopped
                self.made = True
                try:
                    rows = [*properties, ("PIDs", ("au", [pid])), *limits]
                    job = _call(connection, "StartTransientUnit", "ssa(sv)a(sa(sv))", self.name, "fail", rows, [])
                    break
                except DbusError as error:
                    self.made = False
                    if error.name == _EXISTS and not reset:
                        # One that failed stays until somebody resets it
                        reset = self._reset(connection)
                        if reset:
                            continue
                    if not _drop(limits, error, warnings):
                        raise
            self._await(connection, job[0], "start")
        except CgroupError as error:
            self.close()
            raise self._failure(error) from error
        return warnings

    def set(self, limits: "list[Property]") -> list[str]:
        """Change properties until the unit ends; returns warnings, as start."""
        from pyrunc.cgroups.dbus import DbusError

        warnings: list[str] = []
        limits = list(limits)
        if not limits:
            return warnings
        connection = self._open()
        try:
            while limits:
                try:
                    _call(connection, "SetUnitProperties", "sba(sv)", self.name, True, limits)
                    break
                except DbusError as error:
                    if not _drop(limits, error, warnings):
                        raise
        except CgroupError as error:
            raise self._failure(error) from error
        finally:
            self.close()
        return warnings

    def attach(self, pid: int, below: str = "") -> None:
        """Have the manager move a process into the unit, where this user may not do it himself."""
        connection = self._open()
        try:
            _call(connection, "AttachProcessesToUnit", "ssau", self.name, f"/{below.strip('/')}", [pid])
        except CgroupError as error:
            raise self._failure(error) from error

    def stop(self) -> None:
        """End the unit, and what a failure leaves of it; one that is gone is no error."""
        from pyrunc.cgroups.dbus import DbusError

        connection = self._open()
        try:
            _listen(connection)
            try:
                job = _call(connection, "StopUnit", "ss", self.name, "replace")
                self._await(connection, job[0], "stop")
            except DbusError as error:
                if error.name != _NONE:
                    raise
            self._reset(connection)
            self.made = False
        except CgroupError as error:
            raise self._failure(error) from error
        finally:
            self.close()

    def close(self) -> None:
        """Leave the bus."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> "Connection":
        deadline = time.monotonic() + SECONDS
        if self._connection is None:
            try:
                self._connection = _connect(self.user, deadline)
            except CgroupError as error:
                raise self._failure(error) from error
        self._connection.deadline = deadline
        return self._connection

    def _await(self, connection: "Connection", job: object, what: str) -> None:
        """Wait for the end of a job; CgroupError with its result when that is not "done"."""
        while True:
            body = connection.signal().body
            # JobRemoved: id, job, unit, result
            if len(body) == 4 and body[1] == job:
                break
        if body[3] != "done":
            self._reset(connection)
            raise CgroupError(f"the job to {what} it ended with the result {body[3]}")

    def _reset(self, connection: "Connection") -> bool:
        from pyrunc.cgroups.dbus import DbusError

        try:
            _call(connection, "ResetFailedUnit", "s", self.name)
        except DbusError:
            return False
        return True

    def _failure(self, error: CgroupError) -> CgroupError:
        return CgroupError(f"unit {self.name} of systemd{' (user)' if self.user else ''}: {error.cause}")


def _call(connection: "Connection", member: str, signature: str, *values: object) -> list[object]:
    return connection.call(_SYSTEMD, _PATH, _MANAGER, member, signature, *values)


def _listen(connection: "Connection") -> None:
    connection.listen(f"type='signal',sender='{_SYSTEMD}',path='{_PATH}',interface='{_MANAGER}',member='JobRemoved'")


def _drop(limits: "list[Property]", error: "DbusError", warnings: list[str]) -> bool:
    """Whether a limit that the manager refuses by its name was taken out."""
    words = error.text.replace(",", " ").replace("=", " ").replace(":", " ").split()
    name = next((name for name, _ in limits if name in words), None)
    if error.name not in _REFUSED or name is None:
        return False
    limits[:] = [row for row in limits if row[0] != name]
    warnings.append(f"systemd does not take {name} ({error.text}): written to the cgroup, not kept by systemd")
    return True


def _connect(user: bool, deadline: float) -> "Connection":
    """The bus, or where there is none, the manager's own socket."""
    from pyrunc.cgroups.dbus import Connection

    last = CgroupError("no D-Bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR leads to that of the user")
    for address, direct in _user_addresses() if user else _system_addresses():
        try:
            return Connection(address, deadline, direct=direct)
        except CgroupError as error:
            last = error
    raise last


def _system_addresses() -> list[tuple[str, bool]]:
    from pyrunc.cgroups.dbus import unix_addresses

    given = posix.environ.get(b"DBUS_SYSTEM_BUS_ADDRESS", b"").decode("utf-8", "surrogateescape")
    if given:
        return [(address, False) for address in unix_addresses(given)]
    return [(BUS, False), (PRIVATE, True)]


def _user_addresses() -> list[tuple[str, bool]]:
    from pyrunc.cgroups.dbus import unix_addresses

    session, folder = (
        posix.environ.get(name, b"").decode("utf-8", "surrogateescape")
        for name in (b"DBUS_SESSION_BUS_ADDRESS", b"XDG_RUNTIME_DIR")
    )
    found = [(address, False) for address in unix_addresses(session)]
    if folder[:1] == "/":
        found += [(f"{folder}/bus", False), (f"{folder}/systemd/private", True)]
    return found
