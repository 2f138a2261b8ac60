# SPDX-License-Identifier: Apache-2.0
"""SPEC-268 to SPEC-287: linux.intelRdt on a tree of files that behaves as resctrl does."""

from pathlib import Path
from typing import Any

import pytest

from pyrunc.config.fields import Config, Section
from pyrunc.config.intel_rdt_rules import check, unusual
from pyrunc.errors import ConfigError
from pyrunc.process import intel_rdt
from pyrunc.process.intel_rdt import Group, is_own, of_running, remove

DEFAULT = "    L3:0=ffff;1=ffff\n    MB:0=100;1=100\n"


class Resctrl:
    """The root of a fake resctrl: a new group has its files, and a removed one goes with them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writes: list[tuple[str, str]] = []
        self.refused = ""
        (path / "info").mkdir(parents=True)
        (path / "info/last_cmd_status").write_text("ok\n")
        self._fill(path)

    def _fill(self, group: Path) -> None:
        (group / "tasks").touch()
        if group.parent.name != "mon_groups":
            (group / "schemata").write_text(DEFAULT)
            (group / "mon_groups").mkdir()

    def mkdir(self, path: str) -> None:
        if self.refused == "mkdir":
            (self.path / "info/last_cmd_status").write_text("Out of CLOSIDs\n")
            raise OSError(28, "no space")
        Path(path).mkdir()
        self._fill(Path(path))

    def rmdir(self, path: str) -> None:
        group = Path(path)
        for file in ("tasks", "schemata"):
            (group / file).unlink(missing_ok=True)
        if (group / "mon_groups").exists():
            (group / "mon_groups").rmdir()
        group.rmdir()


@pytest.fixture
def resctrl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Resctrl:
    tree = Resctrl(tmp_path / "resctrl")
    write = Group._write

    def noted(self: Group, path: str, text: str, pointer: str) -> None:
        tree.writes.append((str(Path(path).relative_to(tree.path)), text))
        write(self, path, text, pointer)

    monkeypatch.setattr(intel_rdt, "_mkdir", tree.mkdir)
    monkeypatch.setattr(intel_rdt, "_rmdir", tree.rmdir)
    monkeypatch.setattr(intel_rdt, "mounted", lambda: str(tree.path))
    monkeypatch.setattr(Group, "_write", noted)
    return tree


def section(**fields: object) -> Section:
    return Section(dict(fields), "/linux/intelRdt")


def group(resctrl: Resctrl, **fields: object) -> Group:
    return Group(section(**fields), "box", str(resctrl.path))


def test_without_a_name_the_container_has_its_own_class(resctrl: Resctrl) -> None:
    """SPEC-279, 283; SPEC-278: no schemata are written."""
    made = group(resctrl)
    assert made.own == [f"{resctrl.path}/box"]
    made.create()
    made.join(7)
    assert resctrl.writes == [("box/tasks", "7")]
    assert (resctrl.path / "box/tasks").read_text() == "7"
    remove(made.own)
    assert not (resctrl.path / "box").exists()


def test_schemata_are_written_in_order(resctrl: Resctrl) -> None:
    """SPEC-275, 276, 277."""
    fields: dict[str, Any] = {"schemata": ["L2:0=3", "MB:0=20"], "memBwSchema": "MB:0=10", "l3CacheSchema": "L3:0=f"}
    group(resctrl, **fields).create()
    assert [text for _, text in resctrl.writes] == ["L3:0=f\n", "MB:0=10\n", "L2:0=3\n", "MB:0=20\n"]
    assert {file for file, _ in resctrl.writes} == {"box/schemata"}


@pytest.mark.parametrize("field", ["l3CacheSchema", "memBwSchema"])
def test_a_class_that_is_missing_is_made(resctrl: Resctrl, field: str) -> None:
    """SPEC-280; SPEC-284: it is not removed."""
    made = group(resctrl, closID="gold", **{field: "MB:0=50"})
    made.create()
    assert resctrl.writes == [("gold/schemata", "MB:0=50\n")]
    assert made.own == []


def test_a_class_without_schema_must_be_there(resctrl: Resctrl) -> None:
    """SPEC-282."""
    with pytest.raises(ConfigError, match=r"^/linux/intelRdt/closID: there is no class of service gold"):
        group(resctrl, closID="gold")
    resctrl.mkdir(f"{resctrl.path}/gold")
    made = group(resctrl, closID="gold")
    made.create()
    made.join(9)
    assert resctrl.writes == [("gold/tasks", "9")]
    assert made.own == []


def test_the_default_class(resctrl: Resctrl) -> None:
    """SPEC-271."""
    made = group(resctrl, closID="/")
    made.create()
    made.join(9)
    assert (resctrl.path / "tasks").read_text() == "9"
    assert made.own == []


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"l3CacheSchema": "L3:0=ffff;1=ffff"}, ""),
        ({"l3CacheSchema": "L3:0=FFFF"}, ""),
        ({"l3CacheSchema": "L3:00=0ffff ; 1=ffff"}, ""),
        ({"memBwSchema": "MB:0=100;1=100"}, ""),
        ({"schemata": ["MB:1=100", "L3:1=ffff"]}, ""),
        (
            {"l3CacheSchema": "L3:0=ff"},
            "/linux/intelRdt/l3CacheSchema: the class of service exists, and has ffff for L3:0",
        ),
        ({"memBwSchema": "MB:1=10"}, "/linux/intelRdt/memBwSchema"),
        (
            {"schemata": ["L3:0=ffff", "L2:0=f"]},
            "/linux/intelRdt/schemata/1: the class of service exists, and has nothing",
        ),
        ({"schemata": ["L3:2=ffff"]}, "/linux/intelRdt/schemata/0"),
    ],
    ids=str,
)
def test_a_class_that_is_there_must_be_as_wanted(resctrl: Resctrl, fields: dict[str, Any], pointer: str) -> None:
    """SPEC-281; nothing is written."""
    resctrl.mkdir(f"{resctrl.path}/gold")
    if pointer:
        with pytest.raises(ConfigError) as caught:
            group(resctrl, closID="gold", **fields)
        assert str(caught.value).startswith(pointer)
    else:
        group(resctrl, closID="gold", **fields).create()
    assert not resctrl.writes


def test_a_class_of_the_containers_name_is_not_taken_over(resctrl: Resctrl) -> None:
    resctrl.mkdir(f"{resctrl.path}/box")
    with pytest.raises(ConfigError, match="a class of service box exists already"):
        group(resctrl)


@pytest.mark.parametrize("name", [None, "gold", "/"])
def test_monitoring(resctrl: Resctrl, name: str | None) -> None:
    """SPEC-285, 286."""
    resctrl.mkdir(f"{resctrl.path}/gold")
    made = group(resctrl, closID=name, enableMonitoring=True)
    made.create()
    made.join(5)
    folder = resctrl.path if name == "/" else resctrl.path / (name or "box")
    assert (folder / "mon_groups/box/tasks").read_text() == "5"
    assert (folder / "tasks").read_text() == "5"
    assert made.own[-1] == str(folder / "mon_groups/box")
    remove(made.own)
    assert not (folder / "mon_groups/box").exists()
    assert folder.exists() is (name is not None)


def test_a_monitoring_group_that_cannot_be_made(resctrl: Resctrl) -> None:
    """SPEC-287."""
    resctrl.mkdir(f"{resctrl.path}/gold")
    made = group(resctrl, closID="gold", enableMonitoring=True)
    resctrl.refused = "mkdir"
    with pytest.raises(ConfigError, match=r"^/linux/intelRdt/enableMonitoring: cannot make .*Out of CLOSIDs$"):
        made.create()


def test_what_was_made_goes_when_create_fails(resctrl: Resctrl) -> None:
    """Also a class with a name."""
    made = group(resctrl, closID="gold", memBwSchema="MB:0=10", enableMonitoring=True)
    made.create()
    made.undo()
    assert not (resctrl.path / "gold").exists()
    made.undo()


def test_what_the_kernel_refuses_names_the_field(resctrl: Resctrl) -> None:
    made = group(resctrl, memBwSchema="MB:0=10")
    made._mkdir(made.path, "")
    made.existed = False
    (resctrl.path / "box/schemata").unlink()
    (resctrl.path / "info/last_cmd_status").write_text("MB value 1 out of range\n")
    with pytest.raises(ConfigError, match=r"^/linux/intelRdt/memBwSchema: .*MB value 1 out of range$"):
        made._write(f"{made.path}/schemata", "MB:0=1\n", "/linux/intelRdt/memBwSchema")


def test_exec_and_update_find_the_group(resctrl: Resctrl) -> None:
    group(resctrl, enableMonitoring=True).create()
    found = of_running(section(enableMonitoring=True), "box")
    found.join(11)
    found.update(section(memBwSchema="MB:0=30"))
    files = ["box/tasks", "box/mon_groups/box/tasks", "box/schemata"]
    assert [file for file, _ in resctrl.writes] == files


def test_without_resctrl_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """SPEC-269."""
    monkeypatch.setattr(intel_rdt, "mounted", lambda: "")
    with pytest.raises(ConfigError, match=r"^/linux/intelRdt: Intel RDT is not available"):
        intel_rdt.root(section())


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/r/box", True),
        ("/r/mon_groups/box", True),
        ("/r/gold/mon_groups/box", True),
        ("/r/gold", False),
        ("/r", False),
        ("/r/../etc/box", False),
        ("/etc/box", False),
        ("/r/gold/box", False),
    ],
)
def test_what_delete_takes_for_its_own(path: str, own: bool) -> None:
    assert is_own(path, "box", "/r") is own


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"closID": ".."}, "closID"),
        ({"closID": "a/b"}, "closID"),
        ({"closID": "info"}, "closID"),
        ({"closID": "a\nb"}, "closID"),
        ({"closID": 1}, "closID"),
        ({"memBwSchema": "L3:0=f"}, "memBwSchema"),
        ({"memBwSchema": "MB:0=1\nMB:1=1"}, "memBwSchema"),
        ({"schemata": ["a", "b\nc"]}, "schemata/1"),
        ({"enableMonitoring": "yes"}, "enableMonitoring"),
    ],
    ids=str,
)
def test_what_is_refused_without_a_look_at_the_host(fields: dict[str, Any], pointer: str) -> None:
    """SPEC-272, 274."""
    with pytest.raises(ConfigError) as caught:
        check(Config({"linux": {"intelRdt": fields}}, "/b"))
    assert caught.value.pointer == f"/linux/intelRdt/{pointer}"


@pytest.mark.parametrize(("text", "warned"), [("L3:0=f", False), ("L3CODE:0=f", True), ("L3:0=f\nMB:0=1", True)])
def test_an_unusual_cache_schema_is_warned_of(text: str, warned: bool) -> None:
    """SPEC-273."""
    config = Config({"linux": {"intelRdt": {"l3CacheSchema": text}}}, "/b")
    check(config)
    assert bool(unusual(config)) is warned
