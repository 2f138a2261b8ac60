# SPDX-License-Identifier: Apache-2.0
"""The device list of cgroup v1 (Documentation/admin-guide/cgroup-v1/devices.rst): from what it is to what is asked.

Only what differs is written, so that an update takes no device away that a process of the container may keep.
"""

from pyrunc.cgroups import files
from pyrunc.plan.device_filter import Rule, final, text

Device = tuple[str, str]


def change(directory: str, default: bool, rules: list[Rule]) -> None:
    """Write devices.deny and devices.allow of a cgroup; OSError as it comes, ConfigError for what v1 cannot express."""
    current = _current(files.read(f"{directory}/devices.list"))
    for line, allow in transition(current, *final(default, rules)):
        files.write(f"{directory}/devices.{'allow' if allow else 'deny'}", line)


def _current(listing: str) -> "dict[Device, str] | None":
    """{(type, "major:minor"): access} that is allowed; None when all is but what nothing tells."""
    found: dict[Device, str] = {}
    for line in listing.splitlines():
        kind, numbers, access = line.split()
        if kind == "a":
            return None
        found[kind, numbers] = access
    return found


def transition(current: "dict[Device, str] | None", default: bool, exceptions: list[Rule]) -> list[tuple[str, bool]]:
    """(line, whether to allow) to be written in order."""
    lines: list[tuple[str, bool]] = []
    if current is None or default:
        # A list that denies by name cannot be read back, so it begins anew
        lines.append(("a *:* rwm", default))
        current = {}
    wanted = {}
    for rule in exceptions:
        kind, numbers, access = text(rule).split()
        wanted[kind, numbers] = access
    for device, access in current.items():
        if gone := "".join(bit for bit in access if bit not in wanted.get(device, "")):
            lines.append((" ".join((*device, gone)), default))
    for device, access in wanted.items():
        if new := "".join(bit for bit in access if bit not in current.get(device, "")):
            lines.append((" ".join((*device, new)), not default))
    return lines
