# SPDX-License-Identifier: Apache-2.0
"""cgroupsPath, annotations and limits for systemd: names of units, values of GVariant, properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cgroups import gvariant, unit_name
from pyrunc.cgroups.dbus_values import marshal, types, unmarshal
from pyrunc.cgroups.resources import writes
from pyrunc.cgroups.scope import unit_of
from pyrunc.cgroups.unit_properties import INFINITY, of_annotations, of_devices, of_limits
from pyrunc.config.fields import Config, Section
from pyrunc.errors import ConfigError
from pyrunc.plan import device_filter

PREFIX = "org.systemd.property."


@pytest.mark.parametrize(
    ("text", "user", "units"),
    [
        ("", False, ("system.slice", "pyrunc-ID.scope")),
        ("", True, ("user.slice", "pyrunc-ID.scope")),
        (":docker:c1", False, ("system.slice", "docker-c1.scope")),
        (":docker:c1", True, ("user.slice", "docker-c1.scope")),
        ("machine.slice:libpod:c1", False, ("machine.slice", "libpod-c1.scope")),
        ("kubepods-besteffort-pod1_2.slice:cri:c1", False, ("kubepods-besteffort-pod1_2.slice", "cri-c1.scope")),
        ("-.slice:a:b", False, ("-.slice", "a-b.scope")),
        ("a.slice::b", False, ("a.slice", "-b.scope")),
    ],
)
def test_the_units_of_a_path(text: str, user: bool, units: tuple[str, str]) -> None:
    assert unit_name.units(text, "ID", user=user) == units


def test_an_id_with_a_plus_is_escaped() -> None:
    """As systemd-escape(1) does it: systemd has no plus in a name."""
    assert unit_name.units("", "a+b", user=False)[1] == "pyrunc-a\\x2bb.scope"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("/system.slice/x", 'expected cgroupsPath to be of format "slice:prefix:name"'),
        ("a.slice:b", 'expected cgroupsPath to be of format "slice:prefix:name"'),
        ("a.slice:b:c:d", 'expected cgroupsPath to be of format "slice:prefix:name"'),
        ("a.slice:b:", "no name"),
        ("a:b:c", "invalid slice name: a"),
        (".slice:b:c", "invalid slice name: .slice"),
        ("-a.slice:b:c", "invalid slice name: -a.slice"),
        ("a--b.slice:b:c", "invalid slice name: a--b.slice"),
        ("../x.slice:b:c", "it has '/'"),
        ("a.slice:../..:c", "it has '/'"),
        ("a.slice:b:../../c", "it has '/'"),
        ("a.slice:b:c d", "it has ' '"),
        ("a.slice:b:c\n", "it has '\\n'"),
        ("a.slice:b:é", "it has 'é'"),
        ("a.slice:b:c.slice", "is a slice"),
        ("a.slice:b:" + "c" * 250, "258 characters"),
        ("a" * 250 + ".slice:b:c", "256 characters"),
    ],
)
def test_a_path_that_is_refused(text: str, cause: str) -> None:
    """[cgroup-path-escape] Each part, with the field."""
    with pytest.raises(ConfigError) as caught:
        unit_name.units(text, "ID", user=False)
    assert caught.value.pointer == "/linux/cgroupsPath"
    assert cause in caught.value.cause


def test_an_id_that_is_too_long() -> None:
    with pytest.raises(ConfigError, match="too long"):
        unit_name.units("", "c" * 250, user=False)


@pytest.mark.parametrize(
    ("slice", "path"),
    [
        ("system.slice", "/system.slice"),
        ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
        ("-.slice", ""),
        ("cpu.slice", "/_cpu.slice"),
        ("cpu-x.slice", "/_cpu.slice/cpu-x.slice"),
        ("_a.slice", "/__a.slice"),
    ],
)
def test_where_a_slice_is(slice: str, path: str) -> None:
    """systemd.slice(5); and what could be a file of the kernel gets "_" before it."""
    assert unit_name.slice_path(slice) == path


@pytest.mark.parametrize(
    "value", ["x.scope", "system x.service", "system ../x.scope", "host x.scope", "system ", "user a b.scope", 1, None]
)
def test_what_a_journal_cannot_name(value: object) -> None:
    """Its unit is stopped: it is a scope, of one of two managers."""
    assert unit_of(value) is None


def test_what_a_journal_names() -> None:
    unit = unit_of("user pyrunc-a\\x2bb.scope")
    assert unit is not None
    assert (unit.name, unit.user, unit.made) == ("pyrunc-a\\x2bb.scope", True, True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", ("b", True)),
        ("boolean false", ("b", False)),
        ("5", ("i", 5)),
        (" -5 ", ("i", -5)),
        ("0x10", ("i", 16)),
        ("010", ("i", 8)),
        ("1.5", ("d", 1.5)),
        ("uint64 9007199254740993", ("t", 9007199254740993)),
        ("int64 -1", ("x", -1)),
        ("byte 255", ("y", 255)),
        ("@t 7", ("t", 7)),
        ("'text'", ("s", "text")),
        ('"it\'s"', ("s", "it's")),
        (r"'a\'b\\c\nd\u00e9'", ("s", "a'b\\c\ndé")),
        ("string 'x'", ("s", "x")),
        ("objectpath '/a'", ("o", "/a")),
        ("b'ab'", ("ay", [97, 98, 0])),
        ("['a', 'b']", ("as", ["a", "b"])),
        ("[1, 2]", ("ai", [1, 2])),
        ("[uint32 1, 2]", ("au", [1, 2])),
        ("@as []", ("as", [])),
        ("@aas [['a'], []]", ("aas", [["a"], []])),
    ],
)
def test_values_of_gvariant(text: str, value: object) -> None:
    assert gvariant.parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "word", "'open", "[", "[1", "[1 2]", "[1,]", "[]", "[1, 'a']", "uint64", "uint64 -1", "byte 256"),
        *("uint64 'a'", "int32 1.5", "@", "@q", "@(ii) 1", "@a{sv} []", "1 2", "'a' b", "2147483648", "true false"),
        *("boolean 1", "string 1", "@s ['a']", "'\\uzz'", "1_0", "nan 1", "'a\0'", "'\\u0000'", "[" * 50, "@aa 1"),
    ],
)
def test_what_is_no_value(text: str) -> None:
    with pytest.raises(ValueError):
        gvariant.parse(text)


@given(st.text(alphabet="[]@'\"\\, uintsaby0123456789.-xue", max_size=24))
def test_any_text_is_a_value_or_an_error(text: str) -> None:
    try:
        kind, value = gvariant.parse(text)
    except ValueError:
        return
    assert unmarshal(marshal(kind, value), kind)[0] == value


@pytest.mark.parametrize(
    ("name", "text", "row"),
    [
        ("TimeoutStopUSec", "uint64 7000000", ("TimeoutStopUSec", ("t", 7000000))),
        ("TimeoutStopSec", "7", ("TimeoutStopUSec", ("t", 7000000))),
        ("TimeoutStopSec", "1.5", ("TimeoutStopUSec", ("t", 1500000))),
        ("TimeoutStopSec", "uint64 2", ("TimeoutStopUSec", ("t", 2000000))),
        ("KillSignal", "15", ("KillSignal", ("i", 15))),
        ("CollectMode", "'inactive-or-failed'", ("CollectMode", ("s", "inactive-or-failed"))),
        ("After", "['a.service']", ("After", ("as", ["a.service"]))),
        ("XSec", "1", ("XSec", ("i", 1))),
        ("AllSEC", "1", ("AllSEC", ("i", 1))),
    ],
)
def test_annotations(name: str, text: str, row: object) -> None:
    """As in TestInitSystemdProps of runc: seconds only behind a small letter."""
    config = Config({"annotations": {PREFIX + name: text, "other": "x"}}, "/b")
    assert of_annotations(config) == [row]


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("", "1", "not the name of a property"),
        ("a", "1", "not the name of a property"),
        ("ab", "1", "not the name of a property"),
        ("Timeout Stop", "1", "not the name of a property"),
        ("Aa1", "1", "not the name of a property"),
        ("Äää", "1", "not the name of a property"),
        ("TimeoutStopSec", "'7'", "not a number"),
        ("TimeoutStopSec", "true", "not a number"),
        ("TimeoutStopSec", "-7", "out of range"),
        ("CollectMode", "inactive-or-failed", "a text has quotes"),
        ("Wants", "[]", "needs its type"),
    ],
)
def test_annotations_that_are_refused(name: str, text: str, cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        of_annotations(Config({"annotations": {PREFIX + name: text}}, "/b"))
    assert caught.value.pointer == f"/annotations/{PREFIX}{name}"
    assert cause in caught.value.cause


def limits(fields: dict[str, object], *, v2: bool = True) -> dict[str, object]:
    rows = of_limits(writes(Section(fields, "/linux/resources"), v2), v2, start=True)
    return {name: value for name, (_, value) in rows}


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"memory": {"limit": 4096, "swap": 8192, "reservation": 1024}}, (4096, 4096, 1024)),
        ({"memory": {"limit": -1, "swap": -1, "reservation": -1}}, (INFINITY, INFINITY, INFINITY)),
        ({"unified": {"memory.max": "1G", "memory.swap.max": "max", "memory.low": "7"}}, (1 << 30, INFINITY, 7)),
        ({"memory": {"limit": 4096}, "unified": {"memory.max": "8192"}}, (8192, None, None)),
    ],
)
def test_memory(fields: dict[str, object], found: object) -> None:
    asked = limits(fields)
    assert tuple(asked.get(name) for name in ("MemoryMax", "MemorySwapMax", "MemoryLow")) == found


@pytest.mark.parametrize(
    ("cpu", "found"),
    [
        ({"quota": 20000, "period": 50000}, (400000, 50000)),
        ({"quota": 20000}, (200000, None)),
        ({"quota": 12345}, (130000, None)),
        ({"quota": 1000, "period": 1000000}, (10000, 1000000)),
        ({"quota": -1}, (INFINITY, None)),
        ({"period": 50000}, (INFINITY, 50000)),
        ({}, (None, None)),
    ],
)
@pytest.mark.parametrize("v2", [True, False])
def test_a_quota_is_rounded_up_to_a_percent(cpu: dict[str, object], found: object, v2: bool) -> None:
    """Which is what systemd keeps over a reload: as runc does it."""
    asked = limits({"cpu": cpu}, v2=v2)
    assert (asked.get("CPUQuotaPerSecUSec"), asked.get("CPUQuotaPeriodUSec")) == found


@pytest.mark.parametrize(
    ("v2", "fields", "found"),
    [
        (True, {"pids": {"limit": 20}}, {"TasksMax": 20}),
        (True, {"pids": {"limit": -1}}, {"TasksMax": INFINITY}),
        (True, {"pids": {"limit": 0}}, {"TasksMax": 1}),
        (True, {"unified": {"pids.max": "0"}}, {"TasksMax": 1}),
        (True, {"cpu": {"shares": 1024}}, {"CPUWeight": 100}),
        (True, {"cpu": {"shares": 1024, "idle": 1}}, {"CPUWeight": 0}),
        (True, {"unified": {"cpu.idle": "1", "cpu.weight": "7"}}, {"CPUWeight": 0}),
        (True, {"cpu": {"idle": 0}}, {}),
        (True, {"blockIO": {"weight": 1000}}, {"IOWeight": 10000}),
        (True, {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}}, {}),
        (True, {"unified": {"memory.oom.group": "1"}}, {"OOMPolicy": "kill"}),
        (True, {"unified": {"memory.high": "what"}}, {}),
        (True, {"cpu": {"cpus": "0-2,8", "mems": "0"}}, {"AllowedCPUs": b"\7\1", "AllowedMemoryNodes": b"\1"}),
        (True, {"cpu": {"cpus": "4000000000"}}, {}),
        (True, {"cpu": {"cpus": "2-1"}}, {}),
        (True, {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}, {}),
        (False, {"memory": {"limit": 4096, "swap": 8192}, "pids": {"limit": 5}}, {"MemoryLimit": 4096, "TasksMax": 5}),
        (
            False,
            {"cpu": {"shares": 512, "cpus": "0"}, "blockIO": {"weight": 10}},
            {"CPUShares": 512, "BlockIOWeight": 10},
        ),
    ],
)
def test_other_limits(v2: bool, fields: dict[str, object], found: object) -> None:
    assert limits(fields, v2=v2) == found


ONE = {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}
NONE = {"allow": False, "access": "rwm"}
ALL = {"allow": True, "access": "rwm"}
WILD = {"allow": True, "type": "b", "major": 8, "access": "r"}
ODD = {"allow": True, "type": "c", "minor": 5, "access": "r"}


def devices(v2: bool, *rules: dict[str, object]) -> tuple[object, set[object]]:
    rows = of_devices(*device_filter.rules(Section({"devices": list(rules)})), v2)
    policy = next(value for name, (_, value) in rows if name == "DevicePolicy")
    # The empty list comes first: one with entries adds to those that are there
    first, *others = [value for name, (_, value) in rows if name == "DeviceAllow"]
    assert first == []
    return policy, {entry for entries in others for entry in entries}  # type: ignore[attr-defined]


@pytest.mark.parametrize("v2", [True, False])
def test_an_allow_list_of_devices(v2: bool) -> None:
    policy, entries = devices(v2, NONE, ONE, WILD)
    assert policy == "strict"
    assert {("/dev/char/10:229", "rw"), ("block-8", "r"), ("char-*", "m"), ("/dev/char/1:3", "rwm")} <= entries


@pytest.mark.parametrize("v2", [True, False])
def test_all_devices(v2: bool) -> None:
    assert devices(v2, ALL) == ("auto", set())


@pytest.mark.parametrize("rules", [(ALL, {**ONE, "allow": False}), (NONE, ODD)])
def test_devices_that_systemd_cannot_say(rules: tuple[dict[str, object], ...]) -> None:
    """On v2 the filter of the container does it alone; on v1, where there is one list, nothing more is allowed."""
    assert devices(True, *rules) == ("auto", set())
    policy, entries = devices(False, *rules)
    assert policy == "strict"
    assert not [entry for entry in entries if "229" in str(entry) or ":5 " in str(entry)]


@pytest.mark.parametrize(
    ("signature", "values", "raw"),
    [
        ("yu", (1, 2), b"\1\0\0\0\2\0\0\0"),
        ("s", ("ab",), b"\2\0\0\0ab\0"),
        ("as", (["a", "b"],), b"\x0e\0\0\0\1\0\0\0a\0\0\0\1\0\0\0b\0"),
        ("v", (("b", True),), b"\1b\0\0\1\0\0\0"),
        ("a(sv)", ([("T", ("t", 5))],), b"\x18\0\0\0\0\0\0\0\1\0\0\0T\0\1t\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0"),
        ("ay", (b"\7\1",), b"\2\0\0\0\7\1"),
    ],
)
def test_values_on_the_wire(signature: str, values: tuple[object, ...], raw: bytes) -> None:
    """D-Bus Specification, "Marshaling": what busctl and dbus-monitor see."""
    assert marshal(signature, *values) == raw


@pytest.mark.parametrize(
    ("signature", "value"),
    [("y", 256), ("u", -1), ("s", "a\0"), ("s", "\udc80"), ("t", "1"), ("z", 1), ("a", []), ("(", ()), ("as", 5)],
)
def test_values_that_are_not_of_their_type(signature: str, value: object) -> None:
    with pytest.raises(ValueError):
        marshal(signature, value)


def test_complete_types() -> None:
    assert types("ssa(sv)a{sas}v") == ["s", "s", "a(sv)", "a{sas}", "v"]


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0")), st.integers(0, 2**64 - 1))))
def test_what_is_written_is_read(rows: list[tuple[str, int]]) -> None:
    values = [(name, ("t", number)) for name, number in rows]
    raw = marshal("ya(sv)d", 1, values, 2.5)
    assert unmarshal(raw, "ya(sv)d") == [1, values, 2.5]
