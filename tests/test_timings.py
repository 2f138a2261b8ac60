# SPDX-License-Identifier: Apache-2.0
"""--timings and --trace: the phases are there, the helper's clock changes nothing else, both outputs are whole."""

import builtins
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroups.driver import Cgroup
from pyrunc.cli import timings
from pyrunc.cli.timings import PHASES, Span
from pyrunc.config.fields import Config
from pyrunc.config.template import template
from pyrunc.linux.host import probe
from pyrunc.plan import compile as compiler
from pyrunc.plan import ops
from pyrunc.plan.program import Op, Program

ROOT = Path(__file__).parent.parent
PYTHON = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c"]
CALL = "import sys; sys.path.insert(0, {root!r}); from pyrunc.cli.main import main; main()"


def call(*argv: object) -> subprocess.CompletedProcess[str]:
    words = [*PYTHON, CALL.format(root=str(ROOT)), *map(str, argv)]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize(("name", "module", "path"), PHASES, ids=[f"{row[1]}.{row[2]}" for row in PHASES])
def test_a_phase_is_a_function(name: str, module: str, path: str) -> None:
    """One that was renamed would be missing from the table in silence."""
    thing: Any = importlib.import_module(module)
    for part in path.split("."):
        thing = getattr(thing, part)
    assert callable(thing), name


def test_a_phase_is_there_for_each_kind_of_cgroup() -> None:
    """A method that a kind of cgroup has of its own is another function."""
    for _, module, _ in PHASES:
        importlib.import_module(module)
    rows = {(module, path) for _, module, path in PHASES}
    methods = {path.partition(".")[2] for _, path in rows if path.startswith("Cgroup.")}
    kinds: list[type[Cgroup]] = [Cgroup, *Cgroup.__subclasses__()]
    assert len(kinds) == 4
    for kind in kinds:
        for name in methods & set(vars(kind)):
            assert (kind.__module__, f"{kind.__name__}.{name}") in rows


def compiled(monkeypatch: pytest.MonkeyPatch, program: type[Program]) -> Program:
    monkeypatch.setattr(compiler, "Program", program)
    config = Config(template(), "/bundle")
    return compiler.container(config, probe(), compiler.Choices(bpf=bytes(8)))


def test_the_clock_changes_no_other_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call stays, in its order, and a jump goes where it went."""
    plain = compiled(monkeypatch, Program)
    timed = compiled(monkeypatch, timings.Timings()._program())
    clock = timed.inputs["clock"]
    own = {op.index for op in timed.ops if op.name == "clock_gettime" or clock in op.operands}
    kept = [op for op in timed.ops if op.index not in own]
    assert len(own) > 20
    assert [(op.code, op.name, op.origin) for op in kept] == [(op.code, op.name, op.origin) for op in plain.ops]

    def target(program: Program, op: Op, skip: int) -> int:
        """How many instructions that both have stand before the one that is next."""
        after = op.index + 1 + skip
        return sum(other.index not in (own if program is timed else ()) for other in program.ops[:after])

    for ours, theirs in zip(kept, plain.ops, strict=True):
        assert target(timed, ours, ours.skip_ok) == target(plain, theirs, theirs.skip_ok)
        assert target(timed, ours, ours.skip_err) == target(plain, theirs, theirs.skip_err)


def test_the_clock_is_closed_before_the_container_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads the pipe then: a write would end the process by SIGPIPE, and the process must not have it."""
    timed = compiled(monkeypatch, timings.Timings()._program())
    clock = timed.inputs["clock"]
    ready = next(op.index for op in timed.ops if op.code == ops.SYNC and op.operands[0] == ops.READY)
    uses = [op for op in timed.ops if clock in op.operands]
    assert uses[-1].name == "close"
    assert uses[-1].index < ready


def test_table_and_events_say_the_same() -> None:
    spans = [
        Span("interpreter, argv", 0, 2_000_000, 0, 1),
        Span("the command", 2_000_000, 9_000_000, 0, 1),
        Span("plan", 3_000_000, 5_500_000, 1, 1),
        Span("import pyrunc.plan.uts", 3_000_000, 4_000_000, 2, 1),
        Span("/mounts/3", 6_000_000, 6_250_000, 0, 2),
        Span("/mounts/3", 7_000_000, 7_250_000, 0, 2),
    ]
    assert timings.table(spans).splitlines() == [
        "      at    took  ms",
        "              pyrunc",
        "    0.00    2.00  interpreter, argv",
        "    2.00    7.00  the command",
        "    3.00    2.50    plan",
        "         pyrunc-init",
        "    6.00    0.50  /mounts/3  x2",
        "            1.00  of it imports (1)",
    ]
    rows = json.loads(timings.events(spans))["traceEvents"]
    assert {"name": "plan", "ph": "X", "ts": 3000, "dur": 2500, "pid": 1, "tid": 1} in rows
    assert len([row for row in rows if row["ph"] == "X"]) == len(spans)


def test_the_result_stays_what_it_is(tmp_path: Path) -> None:
    """Standard output, status and error are those of the call; the table is on standard error, in front."""
    root = ("--root", tmp_path)
    plain = call(*root, "state", "nobody")
    timed = call(*root, "--timings", "--trace", tmp_path / "trace", "state", "nobody")
    assert (timed.returncode, timed.stdout) == (plain.returncode, plain.stdout) == (1, "")
    assert timed.stderr.endswith(plain.stderr)
    assert "interpreter, argv" in timed.stderr
    assert json.loads((tmp_path / "trace").read_text("utf-8"))["traceEvents"]
    assert (tmp_path / "trace").stat().st_mode & 0o777 == 0o600


def test_an_import_by_keywords_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As codecs are imported by Python itself: in the one file by the first error that needs the archive."""
    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", real)
    monkeypatch.delitem(sys.modules, "encodings.cp037", raising=False)
    timings.Timings().watch_imports()
    assert builtins.__import__ is not real
    assert __import__("encodings.cp037", fromlist=["*"], level=0).__name__ == "encodings.cp037"
    assert "a".encode("cp037") == b"\x81"


def test_a_trace_that_cannot_be_written_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("elsewhere")
    done = call("--root", tmp_path / "root", "--trace", tmp_path / "link", "list")
    assert done.returncode == 1
    assert done.stderr.startswith("pyrunc: --trace: cannot open")
    assert not (tmp_path / "elsewhere").exists()


def bundle(path: Path, *args: str) -> Path:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox (busybox-static)")
    (path / "rootfs/bin").mkdir(parents=True)
    shutil.copy(busybox, path / "rootfs/bin/busybox")
    config: dict[str, Any] = template()
    config["process"] |= {"terminal": False, "args": ["busybox", *args]}
    (path / "config.json").write_text(json.dumps(config), "utf-8")
    return path


@pytest.mark.root
def test_a_container_by_the_helpers_clock(tmp_path: Path) -> None:
    """Each mount has its time; the process has no descriptor more."""
    words = (
        "--root",
        tmp_path / "root",
        "--timings",
        "run",
        "-b",
        bundle(tmp_path, "ls", "/proc/self/fd"),
        "timings-test",
    )
    done = call(*words)
    assert (done.returncode, done.stdout) == (0, "0\n1\n2\n3\n"), done.stderr
    assert {f"/mounts/{number}" for number in range(7)} <= set(done.stderr.split())


@pytest.mark.root
def test_each_verb_tells_what_it_did(tmp_path: Path) -> None:
    """In the table and, for a viewer, in the trace: complete events of two threads."""
    path, name = bundle(tmp_path, "sleep", "100"), f"timed-{os.getpid()}"
    verbs: dict[tuple[object, ...], set[str]] = {
        ("create", "--bundle", path, name): {
            "config",
            "plan",
            "spawn",
            "cgroup",
            "wait for the helper",
            "/hostname",
        },
        ("state", name): {"state"},
        ("start", name): {"state", "wait for the lock", "release the process", "save the state"},
        ("exec", name, "busybox", "true"): {"plan", "spawn", "wait for the process", "/process/capabilities"},
        ("list",): {"state"},
        ("kill", name, "KILL"): {"state", "signal"},
        ("delete", "--force", name): {"end of the process", "remove the cgroup", "remove the state directory"},
    }
    try:
        for words, phases in verbs.items():
            argv = ["--root", tmp_path / "root", "--timings", "--trace", tmp_path / "trace", *words]
            with (tmp_path / "table").open("w") as file:  # a pipe would be the container's, too
                command = [*PYTHON, CALL.format(root=str(ROOT)), *map(str, argv)]
                streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": file}
                status = subprocess.run(command, **streams, check=False, timeout=30).returncode  # type: ignore[call-overload]
            table = (tmp_path / "table").read_text("utf-8")
            assert status == 0, table
            rows = json.loads((tmp_path / "trace").read_text("utf-8"))["traceEvents"]
            spans = [row for row in rows if row["ph"] == "X"]
            names = {row["name"] for row in spans}
            assert {"interpreter, argv", "--timings itself", "the command"} | phases <= names, words
            assert all(row["ts"] >= 0 and row["dur"] >= 0 and row["tid"] in (1, 2) for row in spans), words
            assert all(f"  {phase}" in table for phase in phases), words
    finally:
        call("--root", tmp_path / "root", "delete", "--force", name)
