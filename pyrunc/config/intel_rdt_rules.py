# SPDX-License-Identifier: Apache-2.0
"""linux.intelRdt: config-linux.md#intelrdt. What can be told without the host."""

from pyrunc.config.fields import Config, Section

_NAME_MAX = 255
_OWN = ("info", "mon_data", "mon_groups")
"""Directories of resctrl that are no groups."""


def check(config: Config) -> None:
    """Refuse names that are no directory below resctrl, and schemata that are more than their line."""
    section = _section(config)
    if section is not None:
        check_section(section)


def check_section(section: Section) -> None:
    """The same for the object alone."""
    name = section.text("closID", "")
    bad = name in (".", "..", *_OWN) or "/" in name or not name.isprintable() or len(name.encode()) > _NAME_MAX
    if bad and name != "/":
        raise section.refuse("closID", f'"{name}" is not the name of a class of service')
    section.flag("enableMonitoring")
    section.text("l3CacheSchema", "")
    bandwidth = section.text("memBwSchema", "")
    if bandwidth and (not bandwidth.startswith("MB:") or "\n" in bandwidth):
        raise section.refuse("memBwSchema", 'must begin with "MB:", and be one line')
    for index, line in enumerate(section.texts("schemata")):
        if "\n" in line:
            raise Section({}, section.at("schemata")).refuse(index, "must be one line")


def unusual(config: Config) -> list[str]:
    """Warnings of what is only a SHOULD."""
    section = _section(config)
    cache = section.text("l3CacheSchema", "") if section is not None else ""
    if section is None or not cache or (cache.startswith("L3:") and "\n" not in cache):
        return []
    return [f'{section.at("l3CacheSchema")}: should begin with "L3:", and be one line']


def _section(config: Config) -> "Section | None":
    linux = config.section("linux")
    return linux.section("intelRdt") if linux is not None else None
