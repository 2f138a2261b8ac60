# SPDX-License-Identifier: Apache-2.0
"""The eight namespaces: the word of config.json, the flag of clone3(2) and setns(2), the name below /proc/PID/ns."""

from pyrunc.linux.uapi import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)

NAMESPACES = {
    "user": (CLONE_NEWUSER, "user"),
    "cgroup": (CLONE_NEWCGROUP, "cgroup"),
    "ipc": (CLONE_NEWIPC, "ipc"),
    "mount": (CLONE_NEWNS, "mnt"),
    "network": (CLONE_NEWNET, "net"),
    "pid": (CLONE_NEWPID, "pid"),
    "time": (CLONE_NEWTIME, "time"),
    "uts": (CLONE_NEWUTS, "uts"),
}
"""In the order in which they can be joined one by one: the user namespace gives the rights for the others."""
