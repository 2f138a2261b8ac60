# SPDX-License-Identifier: Apache-2.0
"""linux.netDevices: the point at which the runtime moves them in, and a program that gives it a socket inside.

A netlink socket is of the network namespace in which it is made, wherever it is used: the runtime itself need not go
there. It is made by a helper with the rights of the runtime, which may move a device back out as well.
"""

from pyrunc.linux.uapi import AF_NETLINK, CLONE_NEWNET, SOCK_CLOEXEC, SOCK_DGRAM
from pyrunc.plan import ops
from pyrunc.plan.program import Program

_ALL = 0xFFFFFFFF
_NETLINK_ROUTE = 0


def compile(program: Program) -> None:
    """The network namespace is there, and nothing of the container's runs in it yet."""
    program.sync(ops.NETWORK, "network devices", origin="/linux/netDevices")


def entrance(machine: str) -> Program:
    """A program that joins the network namespace of the input "network", and shows a netlink socket of it."""
    program = Program(machine)
    program.call("close_range", program.input("first free"), _ALL, 0)
    program.call("setns", program.input("network"), CLONE_NEWNET, origin="/linux/netDevices")
    kind = SOCK_DGRAM | SOCK_CLOEXEC
    socket = program.call("socket", AF_NETLINK, kind, _NETLINK_ROUTE, origin="/linux/netDevices", to="netlink")
    program.sync(ops.NETWORK, "netlink", socket)
    return program
