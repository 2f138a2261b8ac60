# SPDX-License-Identifier: Apache-2.0
"""linux.netDevices: config-linux.md#network-devices. What can be told before a look at the interfaces."""

from pyrunc.config.fields import Config, Section
from pyrunc.config.linux_rules import is_ours
from pyrunc.config.namespaces import paths

_NAME_MAX = 15
"""IFNAMSIZ without its NUL."""


def check(config: Config) -> None:
    """Refuse names that no interface can have, two devices of one name, and a network that is the host's."""
    rows = devices(config)
    if not rows:
        return
    linux = config.require("linux")
    network = paths(config).get("network")
    if network is None or (network and is_ours(network)):
        raise linux.refuse("netDevices", "unable to move network devices without a private NET namespace")
    seen = set()
    for outside, inside, section in rows:
        if not _valid(outside) or "%" in outside:
            raise linux.require("netDevices").refuse(outside, f'"{outside}" is not the name of an interface')
        if outside == "lo":
            raise linux.require("netDevices").refuse(outside, "the loopback of a network namespace cannot be moved")
        if not _valid(inside) or inside.replace("%d", "", 1).find("%") >= 0:
            raise section.refuse("name", f'"{inside}" is not the name of an interface')
        if inside in seen and "%" not in inside:
            raise section.refuse("name", f"another device gets the name {inside} already")
        seen.add(inside)


def devices(config: Config) -> list[tuple[str, str, Section]]:
    """(name on the host, name or template in the container, section) of each."""
    linux = config.section("linux")
    section = linux.section("netDevices") if linux is not None else None
    found = []
    for name in section.data if section is not None else ():
        device = section.require(name)  # type: ignore[union-attr]
        found.append((name, device.text("name", "") or name, device))
    return found


def _valid(name: str) -> bool:
    """dev_valid_name in net/core/dev.c."""
    if not name or len(name.encode()) > _NAME_MAX or name in (".", ".."):
        return False
    return name.isprintable() and not any(char in "/: " for char in name)
