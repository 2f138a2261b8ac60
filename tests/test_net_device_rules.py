# SPDX-License-Identifier: Apache-2.0
"""linux.netDevices before the host is looked at, and the program that opens a socket in a network namespace."""

import pytest

from pyrunc.config.fields import Config
from pyrunc.config.net_device_rules import check, devices
from pyrunc.errors import ConfigError
from pyrunc.plan.net_devices import entrance
from pyrunc.process.net_devices import Device, _label, from_text


def config(**rows: object) -> Config:
    return Config({"linux": {"namespaces": [{"type": "network"}], "netDevices": rows}}, "/b")


def test_names() -> None:
    found = config(eth1={}, eth2={"name": "x%d"}, eth3={"name": ""})
    check(found)
    assert [row[:2] for row in devices(found)] == [("eth1", "eth1"), ("eth2", "x%d"), ("eth3", "eth3")]


@pytest.mark.parametrize("rows", [None, {}], ids=["null", "empty"])
def test_none_is_nothing(rows: object) -> None:
    check(Config({"linux": {"netDevices": rows}}, "/b"))


def test_several_may_share_a_template() -> None:
    check(config(a={"name": "eth%d"}, b={"name": "eth%d"}))


@pytest.mark.parametrize(
    ("rows", "pointer"),
    [
        ({"lo": {}}, "/linux/netDevices/lo"),
        ({"a:0": {}}, "/linux/netDevices/a:0"),
        ({"a/b": {}}, "/linux/netDevices/a~1b"),
        ({"a": {"name": "\u00e9" * 8}}, "/linux/netDevices/a/name"),
        ({"a": {"name": "x%"}}, "/linux/netDevices/a/name"),
        ({"a": {"name": "x\n"}}, "/linux/netDevices/a/name"),
        ({"a": {"name": "b"}, "b": {}}, "/linux/netDevices/b/name"),
    ],
)
def test_what_is_refused(rows: dict[str, object], pointer: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(config(**rows))
    assert caught.value.pointer == pointer


def test_the_journal_has_the_whole_device() -> None:
    addresses = [{"family": 2, "address": "10.0.0.1", "local": "10.0.0.1", "prefixlen": 24, "flags": 0, "scope": 0}]
    device = Device("eth1", "x%d", 3, 7, up=True, addresses=addresses)
    again = from_text(device.text())
    assert {name: getattr(again, name) for name in Device.__slots__} == {
        name: getattr(device, name) for name in Device.__slots__
    }


@pytest.mark.parametrize(
    ("label", "seen"), [("eth1", "net0"), ("eth1:web", "net0:web"), ("other", "net0"), ("eth1:0123456789abc", "net0")]
)
def test_a_label_follows_the_name(label: str, seen: str) -> None:
    assert _label(label, "eth1", "net0") == seen


def test_the_socket_is_made_inside() -> None:
    names = [op.name for op in entrance("x86_64").ops]
    assert names == ["close_range", "setns", "socket", "netlink"]
