# SPDX-License-Identifier: Apache-2.0
"""No group has a name in dist/pyrunc: the C library would load NSS modules of the host. pyroute2 imports grp."""

from typing import NoReturn


def getgrnam(name: str) -> "NoReturn":
    raise KeyError(name)


def getgrgid(gid: int) -> "NoReturn":
    raise KeyError(gid)


def getgrall() -> "list[object]":
    return []
