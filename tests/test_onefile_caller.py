# SPDX-License-Identifier: Apache-2.0
"""dist/pyrunc, whoever calls it: environment, limits, streams, processor and layout of memory are not its own.

Its memory is mapped where the build had it, with a malloc of its own: what could be in the way there is tried.
"""

import ctypes
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_onefile import BINARY, built, call

pytestmark = built
HEAD = "ID          PID         STATUS"
MISSING = "cannot map the state of the program from /proc/self/exe: "


def lists(tmp_path: Path, *before: str, **options: object) -> str:
    """`list`, begun by the words before it: what it prints."""
    words = [*before, str(BINARY), "--root", str(tmp_path), "list"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, **options)  # type: ignore[call-overload]
    return str(done.stdout[: len(HEAD)] if done.returncode == 0 else f"{done.returncode}: {done.stderr}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LD_LIBRARY_PATH", ":".join(f"/{number}" for number in range(10_000))),
        ("LD_LIBRARY_PATH", "/" * 100_000),
        ("GLIBC_TUNABLES", "glibc.malloc.check=3:glibc.malloc.perturb=85:glibc.malloc.tcache_count=1000"),
        ("GLIBC_TUNABLES", f"glibc.malloc.check={'glibc.malloc.check=' * 1000}"),
        ("MALLOC_PERTURB_", "85"),
        ("A", "\udcff" * 100_000),
    ],
    ids=[
        "library path of many",
        "a long library path",
        "tunables",
        "a tunable in itself",
        "perturb",
        "bytes",
    ],
)
def test_no_variable_of_the_c_library_matters(tmp_path: Path, name: str, value: str) -> None:
    """A static program's start reads LD_LIBRARY_PATH, and asks malloc for room for it before there is a heap."""
    assert lists(tmp_path, env={name: value}) == HEAD


def test_as_many_variables_and_words_as_the_kernel_takes(tmp_path: Path) -> None:
    assert lists(tmp_path, env={f"NAME{number}": "x" * 1000 for number in range(1500)}) == HEAD
    done = call("--root", str(tmp_path), "state", *["y" * 100_000] * 10)
    assert (done.returncode, done.stderr) == (1, 'pyrunc: "state" requires exactly 1 argument(s)\n')


@pytest.mark.parametrize("argv", [[], [b""]], ids=["no word", "an empty one"])
def test_argv_may_be_empty(argv: list[bytes]) -> None:
    """execve(2) with no argv: CVE-2021-4034 began so."""
    pid = os.fork()
    if not pid:
        ctypes.CDLL(None).dup2(os.open(os.devnull, os.O_RDWR), 1)
        words = (ctypes.c_char_p * (len(argv) + 1))(*argv, None)
        ctypes.CDLL(None).execve(bytes(BINARY), words, (ctypes.c_char_p * 2)(b"a variable without a sign", None))
        os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("streams", [(0,), (1, 2), (0, 1, 2)], ids=str)
def test_streams_may_be_closed(tmp_path: Path, streams: tuple[int, ...]) -> None:
    script = f'exec "$@" {" ".join(f"{stream}>&-" for stream in streams)}'
    words = ["sh", "-c", script, "sh", str(BINARY), "--root", str(tmp_path), "list"]
    assert subprocess.run(words, capture_output=True, check=False, timeout=30).returncode == 0


def limited(kind: int, value: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (value, value))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (resource.RLIMIT_STACK, resource.RLIM_INFINITY, HEAD),  # mappings then go up from a third of the address space
        (resource.RLIMIT_STACK, 128 << 10, HEAD),
        (resource.RLIMIT_AS, 40 << 20, HEAD),
        (resource.RLIMIT_AS, 15 << 20, MISSING + "the heap: Cannot allocate memory"),
        (resource.RLIMIT_NOFILE, 3, MISSING + "its head: Too many open files"),
        (resource.RLIMIT_CORE, 0, HEAD),
    ],
    ids=["no end of the stack", "a small stack", "40 MB", "15 MB", "no descriptor", "no core"],
)
def test_limits_of_the_caller(tmp_path: Path, kind: int, value: int, expected: str) -> None:
    assert expected in lists(tmp_path, preexec_fn=limited(kind, value))


@pytest.mark.parametrize("option", ["-R", "-L", "-RL", "-X", "-Z", "-3", "-B", "-S"])
def test_layouts_of_memory(tmp_path: Path, option: str) -> None:
    """personality(2): addresses that are not random, that go up, that all may be executed, page 0."""
    if shutil.which("setarch") is None:
        pytest.skip("needs setarch")
    assert lists(tmp_path, "setarch", "x86_64", option) == HEAD


def test_addresses_are_never_in_the_way(tmp_path: Path) -> None:
    """Stack, vdso and break are at other places each time."""
    assert {lists(tmp_path) for _ in range(100)} == {HEAD}


@pytest.mark.parametrize("cpu", ["qemu64", "core2duo", "Nehalem", "max"])
def test_an_older_processor_than_that_of_the_build(tmp_path: Path, cpu: str) -> None:
    """Which memcpy and strlen there are is asked anew at each start: nothing of it is in the snapshot."""
    emulator = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("needs qemu-x86_64 (qemu-user)")
    assert lists(tmp_path, emulator, "-cpu", cpu) == HEAD


def test_what_the_processor_decides_is_outside_the_snapshot(tmp_path: Path) -> None:
    """The same without an emulator: the C library is told that the processor has less than that of the build."""
    less = "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM,-SSSE3,-SSE4_1,-SSE4_2,-BMI2,-MOVBE,-RTM"
    assert lists(tmp_path, env={"GLIBC_TUNABLES": less}) == HEAD


def test_without_proc_it_says_so(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    shutil.copy(BINARY, tmp_path / "pyrunc")
    done = subprocess.run(["chroot", tmp_path, "/pyrunc"], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (
        1,
        f"pyrunc: internal error: {MISSING}its head: No such file or directory\n",
    )


def test_it_may_be_for_execution_only() -> None:
    """Mode 0711: who may not read it gets a line."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(shutil.copy(BINARY, folder))
        program.chmod(0o711)
        Path(folder).chmod(0o711)
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(program)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (1, f"pyrunc: internal error: {MISSING}its head: Permission denied\n")


@pytest.mark.root
@pytest.mark.cgroup1
def test_four_megabytes_are_enough(tmp_path: Path) -> None:
    """An engine's own limit is the runtime's, too: huge pages are taken where there is room for them."""
    group = Path("/sys/fs/cgroup/memory") / f"pyrunc-test-{os.getpid()}"
    if not group.parent.joinpath("memory.limit_in_bytes").exists():
        pytest.skip("needs the memory controller of cgroup v1")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(4 << 20), "ascii")
        assert lists(tmp_path, "sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh") == HEAD
    finally:
        group.rmdir()


def test_libraries_of_the_archive_are_timed_as_well(tmp_path: Path) -> None:
    """--timings stands in front of every import, those of Python's own completion among them."""
    assert call("spec", "--bundle", str(tmp_path)).returncode == 0
    done = call("--timings", "validate", "--bundle", str(tmp_path))
    assert (done.returncode, "internal error" in done.stderr) == (0, False), done.stderr
    assert "the command" in done.stderr
