# SPDX-License-Identifier: Apache-2.0
"""Start-up is a feature: each hot command loads its own modules of pyrunc, and of Python only those named here."""

import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Modules of the standard library that may be loaded: each costs less than 0.1 ms, or is there in any case.
ALLOWED = {
    *("_json", "_signal", "_socket", "_struct", "errno", "fcntl", "marshal", "posix", "select", "struct", "sys"),
    *("termios", "time"),
}
BANNED = {
    *("typer", "click", "rich", "jsonschema", "pyroute2", "dataclasses", "typing", "pathlib", "argparse", "logging"),
    *("subprocess", "re", "enum", "socket", "tempfile", "asyncio", "json", "os", "signal", "collections"),
    *("contextlib", "functools", "ctypes", "__future__", "inspect", "threading", "traceback"),
}

# Modules of pyrunc that a field which few containers have brings along.
RARE = {
    *("idmap_rules", "idmap", "net_device_rules", "net_devices", "intel_rdt_rules", "intel_rdt", "number_list"),
    *("scheduling", "scheduler", "affinity", "personality", "memory_policy", "time_offsets", "lsm", "seccomp_agent"),
    *("user_namespace", "pidfd"),
}

# What runs in the child: the modules that one call adds to a bare interpreter, printed before it ends.
PROBE = """
import sys
before = set(sys.modules)
sys.path.insert(0, {root!r})
from pyrunc.cli import main
status = main.run(sys.argv[1:])
for name in sorted(set(sys.modules) - before):
    sys.stderr.write("loaded " + name + chr(10))
sys.exit(status)
"""


def loaded(*argv: str) -> set[str]:
    """The modules that `pyrunc argv` loads."""
    words = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", PROBE.format(root=str(ROOT)), *argv]
    # A file, not a pipe: a container keeps it open.
    with tempfile.TemporaryFile("w+") as output:
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, timeout=30)
        output.seek(0)
        text = output.read()
    assert "internal error" not in text
    return {line.removeprefix("loaded ") for line in text.splitlines() if line.startswith("loaded ")}


def imported(modules: str) -> set[str]:
    """The modules that importing these loads."""
    code = PROBE.format(root=str(ROOT)).replace("status = main.run(sys.argv[1:])", f"import {modules}; status = 0")
    words = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return {line.removeprefix("loaded ") for line in done.stderr.splitlines()}


def foreign(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] != "pyrunc"} - ALLOWED


VERBS = [
    *("create", "start", "run", "state", "kill", "delete", "exec", "list", "version", "plan", "spec"),
    *("pause", "resume", "ps", "update", "events", "features", "checkpoint", "restore", "mounts"),
]


@pytest.mark.parametrize("verb", VERBS)
def test_what_a_verb_imports(verb: str) -> None:
    """At its top, whatever the container is."""
    modules = imported(f"pyrunc.commands.{verb}")
    assert not foreign(modules)
    assert not {name.partition(".")[0] for name in modules} & BANNED
    others = {f"pyrunc.commands.{other}" for other in VERBS} - {f"pyrunc.commands.{verb}"}
    assert modules & others <= ({"pyrunc.commands.create"} if verb == "run" else set())


@pytest.mark.parametrize(
    "argv",
    [
        ["state", "nobody"],
        ["start", "nobody"],
        ["kill", "nobody", "9"],
        ["delete", "--force", "nobody"],
        ["exec", "nobody", "true"],
        ["list"],
        ["ps", "--format", "json", "nobody"],
        ["events", "--stats", "nobody"],
        ["pause", "nobody"],
        ["update", "--memory", "64M", "nobody"],
        ["resume", "nobody"],
        ["--version"],
        ["create", "-b", "/nonexistent", "nobody"],
    ],
    ids=" ".join,
)
def test_what_a_call_loads(argv: list[str], tmp_path: Path) -> None:
    """While it runs, too: a function's own imports count."""
    modules = loaded("--root", str(tmp_path / "root"), "--log", str(tmp_path / "log"), "--log-format", "json", *argv)
    assert "pyrunc.cli.main" in modules
    assert not foreign(modules)
    assert "pyrunc.cli.typer_app" not in modules


def test_what_a_plan_loads(tmp_path: Path) -> None:
    """All that compiles a config.json: create and run load it, too."""
    (tmp_path / "rootfs").mkdir()
    assert not foreign(loaded("spec", "-b", str(tmp_path)))
    modules = loaded("plan", "-b", str(tmp_path))
    assert "pyrunc.plan.compile" in modules
    assert not {name.rpartition(".")[2] for name in modules} & RARE
    assert not foreign(modules)


@pytest.mark.root
def test_what_a_life_loads(tmp_path: Path) -> None:
    """Each call of a real container's life; whether it goes well is for other tests to say."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox (busybox-static)")
    (tmp_path / "rootfs/bin").mkdir(parents=True)
    shutil.copy(busybox, tmp_path / "rootfs/bin/sh")
    loaded("spec", "-b", str(tmp_path))
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    config["process"] |= {"terminal": False, "args": ["sh", "-c", "sleep 60"]}
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    root = ("--root", str(tmp_path / "root"))
    try:
        for argv in (
            ["create", "-b", str(tmp_path), "imports-life"],
            ["start", "imports-life"],
            ["state", "imports-life"],
            ["exec", "imports-life", "sh", "-c", ":"],
            ["list"],
            ["ps", "imports-life"],
            ["events", "--stats", "imports-life"],
            ["update", "--cpu-share", "512", "imports-life"],
            ["pause", "imports-life"],
            ["resume", "imports-life"],
            ["kill", "imports-life", "KILL"],
        ):
            assert not foreign(loaded(*root, *argv)), argv
    finally:
        assert not foreign(loaded(*root, "delete", "--force", "imports-life"))


def test_what_systemd_adds() -> None:
    """Cgroups by systemd are on the path of every create under Kubernetes: D-Bus is spoken without a library."""
    scopes = "pyrunc.cgroups.scope_v1, pyrunc.cgroups.scope_v2"
    assert not foreign(imported(f"{scopes}, pyrunc.container.holder, pyrunc.cgroups.dbus, pyrunc.cgroups.gvariant"))
    # kill, exec and pause ask nobody
    assert not imported(scopes) & {"pyrunc.cgroups.dbus", "pyrunc.cgroups.unit_properties", "pyrunc.plan.program"}


@pytest.mark.parametrize("verb", ["start", "state", "kill", "delete", "list", "pause", "resume"])
def test_what_makes_no_container_does_not_load_the_compiler(verb: str) -> None:
    """Half of the modules: 4 ms of `start` went there for one constant."""
    modules = imported(f"pyrunc.commands.{verb}")
    assert not {"pyrunc.plan.compile", "pyrunc.config.load", "pyrunc.container.launch"} & modules


def test_the_parser_imports_nothing() -> None:
    """Table and parser know their rows and the errors."""
    own = {name for name in imported("pyrunc.cli.parse") if name.startswith("pyrunc")}
    assert {"pyrunc.cli.parse", "pyrunc.cli.table", "pyrunc.errors"} <= own
    state = {name for name in own if name.startswith(("pyrunc.container", "pyrunc.plan", "pyrunc.state"))}
    assert state <= {"pyrunc.container", "pyrunc.container.settings"}


def test_the_probe_sees_what_is_banned() -> None:
    """The test itself: help is the call that loads Typer."""
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {sysconfig.get_path('purelib')!r}]; import pyrunc.cli.typer_app"
    code += "; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert {"typer", "typing", "os"} <= set(done.stdout.split())
