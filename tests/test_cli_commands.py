# SPDX-License-Identifier: Apache-2.0
"""The verbs: what they hand to the operations, and the form of what they print."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyrunc.cli import main
from pyrunc.cli.table import COMMANDS
from pyrunc.config.dump import dump
from pyrunc.config.template import rootless, template

ROW = {
    "ociVersion": "1.3.0",
    "id": "box",
    "pid": 4711,
    "status": "running",
    "bundle": "/bundles/a-long-name",
    "rootfs": "/bundles/a-long-name/rootfs",
    "created": "2026-01-02T03:04:05.678901234Z",
    "owner": "root",
}


class Operation:
    """Stands for a function of pyrunc.container and keeps what it was called with, without the settings."""

    def __init__(self, result: object = None) -> None:
        self.result = result
        self.given: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}

    def __call__(self, _: object, *given: Any, **options: Any) -> object:
        self.given, self.options = given, options
        return self.result


def stand_in(monkeypatch: pytest.MonkeyPatch, module: str, *, result: object = None, **more: object) -> Operation:
    """Replace pyrunc.container.MODULE; its verb is loaded anew, and forgotten after the test."""
    operation = Operation(result)
    name = {"query": "state"}.get(module, module)
    stand = SimpleNamespace(**{name: operation, "containers": operation} | more)
    monkeypatch.setitem(sys.modules, f"pyrunc.container.{module}", stand)
    for verb in ("run", "create", "list", name):
        # Set first, so that what the test loads is forgotten after it also where nothing was loaded before.
        monkeypatch.setitem(sys.modules, f"pyrunc.commands.{verb}", stand)
        del sys.modules[f"pyrunc.commands.{verb}"]
    return operation


@pytest.mark.parametrize(
    ("argv", "given", "options"),
    [
        ("start c", ("c",), {}),
        ("delete c", ("c",), {"force": False}),
        ("delete --force c", ("c",), {"force": True}),
        ("kill c", ("c", None), {"all": False}),
        ("kill c 9", ("c", 9), {"all": False}),
        ("kill --all c SIGTERM", ("c", 15), {"all": True}),
        ("kill -a c hup", ("c", 1), {"all": True}),
        ("kill c rtmin+3", ("c", 37), {"all": False}),
    ],
    ids=str,
)
def test_simple_verbs(
    argv: str, given: tuple[Any, ...], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = stand_in(monkeypatch, argv.split(maxsplit=1)[0])
    assert main.run(argv.split()) == 0
    assert (operation.given, operation.options) == (given, options)


@pytest.mark.parametrize("signal", ["FOO", "-9", "65", "", "9.0", "SIG", "RTMIN+31", "RTMAX-31", "RTMIN-1", "٩", "1_0"])
def test_unknown_signals(signal: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    stand_in(monkeypatch, "kill")
    assert main.run(["kill", "--", "c", signal]) == 1
    assert capfd.readouterr().err == f'pyrunc: unknown signal "{signal}"\n'


CREATE = (
    "--bundle /b --pid-file /p --console-socket /s --pidfd-socket /f --no-pivot --no-new-keyring --preserve-fds 2 -f /c"
)
CREATED = {
    "pid_file": "/p",
    "console_socket": "/s",
    "pidfd_socket": "/f",
    "no_pivot": True,
    "no_new_keyring": True,
    "preserve_fds": 2,
    "config_file": "/c",
}


def test_create(monkeypatch: pytest.MonkeyPatch) -> None:
    operation = stand_in(monkeypatch, "create")
    assert main.run(["create", *CREATE.split(), "c"]) == 0
    assert (operation.given, operation.options) == (("c", "/b"), CREATED)
    assert main.run(["create", "c"]) == 0
    assert operation.given == ("c", ".")
    assert not any(operation.options.values())


def test_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status of the process is that of pyrunc."""
    stand_in(monkeypatch, "create")
    operation = stand_in(monkeypatch, "run", result=7)
    assert main.run(["run", *CREATE.split(), "-d", "--keep", "-no-subreaper", "c"]) == 7
    assert operation.given == ("c", "/b")
    assert operation.options == CREATED | {"detach": True, "keep": True, "no_subreaper": True}


def test_exec(monkeypatch: pytest.MonkeyPatch) -> None:
    operation = stand_in(monkeypatch, "exec", result=3, ExecRequest=SimpleNamespace)
    argv = "exec -t -u 1000:5 -g 6 -e A=1 -c CAP_KILL --cwd / --no-new-privs --cgroup sub c ls -l"
    assert main.run(argv.split()) == 3
    container, request = operation.given
    assert container == "c"
    assert request.args == ["ls", "-l"]
    assert (request.tty, request.detach, request.no_new_privs) == (True, False, True)
    assert (request.user, request.additional_gids, request.env) == ("1000:5", [6], ["A=1"])
    assert (request.caps, request.cwd, request.cgroup) == (["CAP_KILL"], "/", ["sub"])
    assert main.run(["exec", "--process", "/p", "c"]) == 3
    assert operation.given[1].process_file == "/p"


@pytest.mark.parametrize(
    "user", ["root", "", ":", "1:", ":1", "-1", " 1", "1 ", "1_0", "4294967295", "1:2:3", "²", "1\n"]
)
def test_exec_user_is_numbers(user: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """CVE-2016-3697, CVE-2026-30892: no name is looked up in the image, and nothing else becomes 0."""
    operation = stand_in(monkeypatch, "exec", result=0, ExecRequest=SimpleNamespace)
    assert main.run(["exec", "-u", user, "c", "id"]) == 255
    assert "is not UID[:GID]" in capfd.readouterr().err
    assert operation.given == ()


def test_exec_needs_a_command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    stand_in(monkeypatch, "exec", result=0, ExecRequest=SimpleNamespace)
    assert main.run(["exec", "c"]) == 255
    assert capfd.readouterr().err == "pyrunc: exec needs a command, or --process\n"


def test_state(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Byte for byte as runc writes it, without a newline at the end."""
    stand_in(monkeypatch, "query", result=ROW)
    assert main.run(["state", "box"]) == 0
    assert capfd.readouterr().out == json.dumps(ROW, indent=2)


def test_list(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """The columns are those of Go's tabwriter with a least width of 12 and a padding of 3."""
    stand_in(monkeypatch, "query", result=[ROW])
    assert main.run(["list"]) == 0
    assert capfd.readouterr().out == (
        "ID          PID         STATUS      BUNDLE                 CREATED                          OWNER\n"
        "box         4711        running     /bundles/a-long-name   2026-01-02T03:04:05.678901234Z   root\n"
    )
    assert main.run(["list", "--format", "json"]) == 0
    assert capfd.readouterr().out == json.dumps([ROW], separators=(",", ":")) + "\n"
    assert main.run(["list", "-q"]) == 0
    assert capfd.readouterr().out == "box\n"


def test_list_of_nothing(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    stand_in(monkeypatch, "query", result=[])
    assert main.run(["list"]) == 0
    assert capfd.readouterr().out == "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
    assert main.run(["list", "-f", "json"]) == 0
    assert capfd.readouterr().out == "null\n"
    assert main.run(["list", "-q"]) == 0
    assert capfd.readouterr().out == ""


def test_spec(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file is written once, and never overwritten."""
    assert main.run(["spec", "-b", str(tmp_path)]) == 0
    config = tmp_path / "config.json"
    assert json.loads(config.read_text("utf-8")) == template()
    assert config.stat().st_mode & 0o777 == 0o644
    config.write_text("mine", "utf-8")
    assert main.run(["spec", "-b", str(tmp_path)]) == 1
    assert capfd.readouterr().err == f"pyrunc: {config} exists: remove it first\n"
    assert config.read_text("utf-8") == "mine"
    assert main.run(["spec", "-b", str(tmp_path), "--rootless", "-f", "other.json"]) == 0
    assert "uidMappings" in json.loads((tmp_path / "other.json").read_text("utf-8"))["linux"]


@pytest.mark.parametrize("kind", ["root", "rootless"])
def test_plan_of_spec(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What spec writes, plan takes: as text a line for each call with the field that asked for it, or as JSON."""
    (tmp_path / "rootfs").mkdir()
    flags = ["--rootless"] if kind == "rootless" else []
    assert main.run(["spec", "-b", str(tmp_path), *flags]) == 0
    assert main.run(["plan", "-b", str(tmp_path)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert any('sethostname("pyrunc"' in line and line.endswith("/hostname") for line in lines)
    assert main.run(["plan", "-b", str(tmp_path), "--json"]) == 0
    program = json.loads(capfd.readouterr().out)
    assert len(program["instructions"]) == len(lines)
    assert set(program["instructions"][0]) == {"index", "name", "call", "result", "accept", "origin"}
    assert program["instructions"][-1]["name"] == "execve"


def test_template_has_nothing_inheritable() -> None:
    """CVE-2022-29162."""
    process: Any = template()["process"]
    assert set(process["capabilities"]) == {"bounding", "effective", "permitted"}
    assert process["noNewPrivileges"]


def test_rootless_template() -> None:
    config: Any = rootless(template(), 1000, 1001)
    assert [row["type"] for row in config["linux"]["namespaces"]] == ["pid", "ipc", "uts", "mount", "cgroup", "user"]
    assert config["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert config["linux"]["gidMappings"] == [{"containerID": 0, "hostID": 1001, "size": 1}]
    assert "resources" not in config["linux"]
    mounts = {row["destination"]: row for row in config["mounts"]}
    assert mounts["/sys"]["options"][0] == "rbind"
    assert not any("gid=" in option for row in mounts.values() for option in row.get("options", ()))


def test_verbs_are_short_and_there() -> None:
    """One file a verb, of at most 60 lines."""
    folder = Path(__file__).parent.parent / "pyrunc/commands"
    found = {path.stem: path.read_text("utf-8").count("\n") for path in folder.glob("[!_]*.py")}
    assert set(found) == {row.module for row in COMMANDS.values() if row.module}
    assert max(found.values()) <= 60


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        'é"\\\n\x7f\udc80',
        [],
        {},
        [[]],
        {"a": {}},
        {"a": [1, {"b": None}], "c": "d"},
        (1, "x"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("indent", [None, 2, 4])
def test_dump(value: object, indent: int | None) -> None:
    """The same text as the json module's, which takes 7 ms to import."""
    separators = (",", ":") if indent is None else None
    assert dump(value, indent) == json.dumps(value, indent=indent, separators=separators)


@pytest.mark.parametrize("value", [{1: 2}, b"", {1}, float("nan"), float("inf"), object()], ids=str)
def test_dump_refuses(value: object) -> None:
    with pytest.raises(TypeError):
        dump(value)
