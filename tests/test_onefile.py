# SPDX-License-Identifier: Apache-2.0
"""dist/pyrunc (make binary): it needs nothing of the host, and takes nothing from its caller but argv."""

import ctypes
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pyrunc.onefile.standins.rpds import HashTrieMap, HashTrieSet, List

ROOT = Path(__file__).parent.parent
BINARY = ROOT / "dist/pyrunc"
BUILT_FIRST = ROOT / "build/onefile/program"
"""The program without its snapshot, which it writes."""
PT_INTERP, PT_DYNAMIC = 3, 2
PR_SET_THP_DISABLE = 41

built = pytest.mark.skipif(not BINARY.exists(), reason="needs dist/pyrunc (make binary)")


def call(*argv: str, program: Path = BINARY, **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"stdin": subprocess.DEVNULL} | options
    return subprocess.run([program, *argv], capture_output=True, text=True, check=False, timeout=30, **options)


@built
def test_it_needs_no_library() -> None:
    from tests.test_packaging import program_headers

    assert not {PT_DYNAMIC, PT_INTERP} & set(program_headers(BINARY.read_bytes()))


@built
def test_it_runs_in_an_empty_root(tmp_path: Path) -> None:
    """No Python, no library, no locale; /proc is what every container runtime needs."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    (tmp_path / "proc").mkdir()
    (tmp_path / "pyrunc").write_bytes(BINARY.read_bytes())
    (tmp_path / "pyrunc").chmod(0o755)
    script = f"mount -t proc proc {tmp_path}/proc && chroot {tmp_path} /pyrunc $0"
    for argv, word in (("--version", "pyrunc version"), ("--help", "Usage: pyrunc"), ("features", "ociVersionMax")):
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, argv]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, done.stderr
        assert word in done.stdout


@built
@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["state", "nobody"]], ids=" ".join)
def test_no_variable_and_no_directory_of_the_caller_matters(tmp_path: Path, argv: list[str]) -> None:
    """As `python -I -S -B -X utf8` has it: CVE-2019-14271 is one import away."""
    for name in ("encodings", "typer", "struct", "sitecustomize", "usercustomize", "posix"):
        (tmp_path / f"{name}.py").write_text("import posix\nposix._exit(77)\n", "ascii")
    hostile = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": str(tmp_path),
        "PYTHONSTARTUP": str(tmp_path / "typer.py"),
        "PYTHONINSPECT": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "ascii",
        "PYTHONMALLOC": "debug",
        "PYTHONVERBOSE": "1",
        "PYTHONDUMPREFS": "1",
        "PYTHONFAULTHANDLER": "1",
        "PYTHONUTF8": "0",
        "LC_ALL": "C",
        "LD_PRELOAD": str(tmp_path / "typer.py"),
        "LD_LIBRARY_PATH": str(tmp_path),
        "COLUMNS": "80",
    }
    root = ["--root", str(tmp_path / "state")]
    plain = call(*root, *argv, env={"COLUMNS": "80"})
    done = call(*root, *argv, env=hostile, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    assert done.returncode in (0, 1)


@built
def test_a_call_opens_no_file_of_the_host(tmp_path: Path) -> None:
    """But what it asks for: no module, no codec, no locale."""
    trace = tmp_path / "trace"
    words = ["strace", "-f", "-e", "trace=open,openat,openat2,execve,readlink", "-o", str(trace)]
    try:
        subprocess.run([*words, BINARY, "--root", str(tmp_path), "state", "x"], check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs strace")
    lines = [line for line in trace.read_text("utf-8").splitlines() if "(" in line]
    foreign = [line for line in lines if '"/' in line and str(tmp_path) not in line and "execve" not in line]
    # The C library: readlink for its own name at the start of a static program; the program: its snapshot
    assert [line for line in foreign if "readlink" not in line and '"/proc/self/exe", O_RDONLY' not in line] == []


@built
def test_bytes_of_argv_that_are_not_utf8_come_out_as_they_are() -> None:
    done = subprocess.run([BINARY, "state", b"\xff"], capture_output=True, check=False, timeout=30)
    assert done.returncode == 1
    assert b"internal error" not in done.stderr


@built
def test_an_interrupt_and_a_closed_pipe_are_pythons(tmp_path: Path) -> None:
    """The signals of Python's main phase, which a call does not reach: SIGPIPE is ignored until output() dies of it."""
    reader, writer = os.pipe()
    os.close(reader)
    words = [str(BINARY), "--root", str(tmp_path), "list"]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=30)
    os.close(writer)
    assert (done.returncode, done.stderr) == (-13, b"")


@built
@pytest.mark.parametrize("disabled", [0, 1], ids=["huge pages", "small pages"])
def test_its_memory_is_the_same_in_pages_of_any_size(disabled: int) -> None:
    """Where the kernel has no huge page to give, the file is mapped."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def choose() -> None:
        assert prctl(PR_SET_THP_DISABLE, disabled, 0, 0, 0) == 0

    words = ("features", "--help"), ("list",), ("spec", "--help")
    usual = [call(*argv).stdout for argv in words]
    assert [call(*argv, preexec_fn=choose).stdout for argv in words] == usual


@built
def test_it_is_built_of_these_sources() -> None:
    """Else what the other tests of it say is of another time."""
    newest = max(path.stat().st_mtime for path in (ROOT / "pyrunc").rglob("*.py"))
    if BINARY.stat().st_mtime < newest:
        pytest.skip("dist/pyrunc is older than the sources (make binary)")
    assert call("--version").stdout == call("--version", program=ROOT / "pyrunc/launcher/pyrunc").stdout


def test_the_glue_is_small() -> None:
    """C in pyrunc is the helper; this is what holds the one file together."""
    lines = {path.name: len(path.read_text("ascii").splitlines()) for path in (ROOT / "pyrunc/onefile").glob("*.c")}
    assert max(lines.values()) <= 200, lines
    assert sum(lines.values()) <= 600, lines


@pytest.mark.skipif(not BUILT_FIRST.exists(), reason="needs what make binary leaves in build")
def test_the_memory_it_begins_with_is_the_same_wherever_it_is_built(tmp_path: Path) -> None:
    """Of another kernel, by another process at another time, for another host: no fact of these is kept."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    script = "hostname elsewhere; cd /; umask 0; exec env -i $0 </dev/null 2>/dev/null 7>/dev/null"
    other_host = ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "setarch", "--uname-2.6", "-R", "sh", "-c"]
    for name, words in (("here", ["env", "-i"]), ("there", [*other_host, script])):
        with (tmp_path / name).open("wb") as file:
            subprocess.run([*words, BUILT_FIRST], check=True, stdout=file)
    assert (tmp_path / "here").stat().st_size > 1 << 20
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


@built
def test_nothing_of_the_build_is_in_it() -> None:
    """The memory that it begins with has no variable and no path of the machine that made it."""
    content = BINARY.read_bytes()
    assert str(ROOT).encode() not in content
    for name in ("HOME=", "PATH=", "PWD="):
        assert f"{name}{os.environ.get(name[:-1], '/root')}".encode() not in content


def test_what_stands_in_for_rpds() -> None:
    """The methods that referencing and jsonschema call, as rpds has them."""
    rpds = pytest.importorskip("rpds")
    for real, ours in ((rpds.HashTrieMap, HashTrieMap), (HashTrieMap, rpds.HashTrieMap)):
        one = real({"a": 1}).insert("b", 2)
        assert sorted(ours.convert(one).items()) == [("a", 1), ("b", 2)]
        assert sorted(one.remove("a").update({"c": 3})) == ["b", "c"]
        with pytest.raises(KeyError):
            one.remove("z")
    for kind in (rpds.HashTrieSet, HashTrieSet):
        assert sorted(kind().insert("a").update(["b", "c"]).discard("c").discard("z")) == ["a", "b"]
    for kind in (rpds.List, List):
        grown = kind().push_front("a").push_front("b")
        assert list(grown) == ["b", "a"]
        assert grown.first == "b"
        assert list(grown.rest) == ["a"]
