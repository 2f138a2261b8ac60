# SPDX-License-Identifier: Apache-2.0
"""Hooks of the runtime's namespaces: order, stdin, environment, time limit, output, and what they must not inherit."""

import json
import os
import time
from pathlib import Path

import pytest

from pyrunc.config.fields import Section
from pyrunc.errors import ConfigError, HookError
from pyrunc.process.hooks import check_hook, run_hooks, run_poststop

STATE = b'{"ociVersion":"1.2.0","id":"box"}'
KIND = "createRuntime"


def shell(script: str, index: int = 0, **fields: object) -> Section:
    """A hook that is a shell script."""
    data: dict[str, object] = {"path": "/bin/sh", "args": ["sh", "-c", script], **fields}
    return Section(data, f"/hooks/{KIND}/{index}")


def children() -> set[str]:
    """Our children; other tests of the session may hold some."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_hooks_run_in_order_with_the_state_on_stdin(tmp_path: Path) -> None:
    log, before = tmp_path / "log", children()
    run_hooks([shell(f"echo {n} >>{log}; cat >>{log}", n) for n in range(3)], STATE, KIND)
    assert log.read_bytes() == b"".join(b"%d\n%s" % (n, STATE) for n in range(3))
    assert children() <= before


def test_the_first_failure_ends_the_list(tmp_path: Path) -> None:
    hooks = [shell("exit 0"), shell("echo oops >&2; exit 3", 1), shell(f"touch {tmp_path}/ran", 2)]
    with pytest.raises(HookError) as caught:
        run_hooks(hooks, STATE, KIND)
    text = str(caught.value)
    assert text.startswith(
        "/hooks/createRuntime/1: error running createRuntime hook #1: /bin/sh: exit status 3 after 0."
    )
    assert text.endswith(" s: oops")
    assert not (tmp_path / "ran").exists()


def test_a_failing_poststop_hook_is_a_warning_and_the_next_one_runs(tmp_path: Path) -> None:
    """SPEC-342"""
    hooks = [shell("exit 1"), shell(f"touch {tmp_path}/ran", 1), Section({"path": "relative"}, "/hooks/poststop/2")]
    warnings = run_poststop(hooks, STATE)
    assert [warning.partition(":")[0] for warning in warnings] == ["/hooks/createRuntime/0", "/hooks/poststop/2"]
    assert warnings[0].startswith("/hooks/createRuntime/0: poststop hook failed with exit code 1: /bin/sh after 0.")
    assert (tmp_path / "ran").exists()


def test_output_goes_to_the_files_of_annotations(tmp_path: Path) -> None:
    """crun(1): run.oci.hooks.stdout and run.oci.hooks.stderr; what is not sent there is in an error still."""
    out, err = tmp_path / "out", tmp_path / "err"
    both = {"run.oci.hooks.stdout": str(out), "run.oci.hooks.stderr": str(err)}
    run_hooks([shell("echo out; echo err >&2"), shell("echo again", 1)], STATE, KIND, "", both)
    assert (out.read_text(), err.read_text()) == ("out\nagain\n", "err\n")
    assert out.stat().st_mode & 0o777 == 0o600
    with pytest.raises(HookError, match=r"s: oops$"):
        run_hooks([shell("echo more; echo oops >&2; exit 1")], STATE, KIND, "", {"run.oci.hooks.stdout": str(out)})
    assert out.read_text().endswith("more\n")


def test_a_file_of_an_annotation_that_cannot_be_opened(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    both = {"run.oci.hooks.stdout": str(tmp_path / "out"), "run.oci.hooks.stderr": str(tmp_path / "no/err")}
    with pytest.raises(HookError, match=r"error running createRuntime hook #0: cannot open .*/no/err"):
        run_hooks([shell("exit 0")], STATE, KIND, "", both)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("fields", "expected"), [({}, b""), ({"env": ["A=1", "B=x=y"]}, b"A=1\0B=x=y\0")])
def test_the_environment_is_that_of_the_hook_alone(
    fields: dict[str, object], expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[env-leak]"""
    monkeypatch.setenv("SECRET", "1")
    target = tmp_path / "environ"
    hook = Section({"path": "/bin/cp", "args": ["cp", "/proc/self/environ", str(target)], **fields}, "/hooks/x/0")
    run_hooks([hook], STATE, KIND)
    assert target.read_bytes() == expected


def test_without_args_the_path_is_argument_zero(tmp_path: Path) -> None:
    script = tmp_path / "hook"
    script.write_text(f'#!/bin/sh\necho "$0 $#" >{tmp_path}/out\n')
    script.chmod(0o755)
    run_hooks([Section({"path": str(script)}, "/hooks/x/0")], STATE, KIND)
    assert (tmp_path / "out").read_text() == f"{script} 0\n"


def test_the_bundle_is_its_directory_and_ours_stays(tmp_path: Path) -> None:
    before = os.getcwd()
    run_hooks([shell("pwd >out")], STATE, KIND, str(tmp_path))
    assert (tmp_path / "out").read_text() == f"{tmp_path}\n"
    assert os.getcwd() == before
    run_hooks([shell(f"pwd >{tmp_path}/out")], STATE, KIND, str(tmp_path / "gone"))
    assert (tmp_path / "out").read_text() == "/\n"


def test_a_timeout_kills_the_whole_group(tmp_path: Path) -> None:
    """[failed-start-residue]"""
    start, before = time.monotonic(), children()
    with pytest.raises(HookError, match=r"/bin/sh: timed out after 1 s: waiting$"):
        run_hooks([shell(f"sleep 60 & echo $! >{tmp_path}/pid; echo waiting; wait", timeout=1)], STATE, KIND)
    assert time.monotonic() - start < 10
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        # Without a reaper the killed child may stay a zombie of this machine's init.
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(") ")[2].startswith("Z"):
            break
        time.sleep(0.01)
    else:
        pytest.fail("the hook's child lives on")
    # Where another test made us a subreaper, the dead child of the hook is ours.
    assert children() - {str(pid)} <= before


def test_much_output_neither_blocks_nor_fills_the_error() -> None:
    with pytest.raises(HookError) as caught:
        run_hooks([shell("head -c 3000000 /dev/zero | tr '\\0' a; echo; echo last; exit 1", timeout=30)], STATE, KIND)
    text = str(caught.value)
    assert text.endswith(r"a\nlast")
    assert 4000 < len(text) < 4400
    assert "\n" not in text


@pytest.mark.parametrize("script", ["exit 0", "exec <&-; sleep 0.1", "sleep 0.1; exit 0"])
def test_a_hook_that_never_reads_a_large_state_does_not_block(script: str) -> None:
    run_hooks([shell(script, timeout=20)], b"x" * 1_000_000, KIND)


def test_a_hook_that_never_reads_a_large_state_times_out() -> None:
    start = time.monotonic()
    with pytest.raises(HookError, match="timed out after 1 s"):
        run_hooks([shell("exec sleep 8", timeout=1)], b"x" * 1_000_000, KIND)
    assert time.monotonic() - start < 6


def test_a_large_state_arrives_as_a_whole(tmp_path: Path) -> None:
    state = json.dumps({"a": "x" * 700_000}).encode()
    run_hooks([shell(f"cat >{tmp_path}/state")], state, KIND)
    assert (tmp_path / "state").read_bytes() == state


def test_a_background_child_with_the_pipe_does_not_hold_us(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(HookError, match=r"exit status 1 .*: before$"):
        run_hooks([shell(f"echo before; sleep 20 & echo $! >{tmp_path}/pid; exit 1")], STATE, KIND)
    assert time.monotonic() - start < 5
    os.kill(int((tmp_path / "pid").read_text()), 9)


def test_nothing_but_the_standard_descriptors_is_open(tmp_path: Path) -> None:
    """[fd-leak-container]"""
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    high = os.dup2(leaked, 60, inheritable=True)
    try:
        run_hooks([shell(f"ls /proc/self/fd >{tmp_path}/fds; cat /proc/self/status >{tmp_path}/status")], STATE, KIND)
    finally:
        os.close(leaked)
        os.close(high)
    # 3 is the directory that ls itself reads.
    assert (tmp_path / "fds").read_text().split() == ["0", "1", "2", "3"]
    status = dict(line.split(":\t") for line in (tmp_path / "status").read_text().splitlines() if "Sig" in line)
    assert int(status["SigBlk"], 16) == 0
    # 32 and 33 are the C library's own; only the caller of the tests could reset them.
    assert int(status["SigIgn"], 16) & ~(3 << 31) == 0


def test_our_own_descriptors_are_those_of_before() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(HookError):
        run_hooks([shell("exit 1")], STATE, KIND)
    with pytest.raises(HookError):
        run_hooks([Section({"path": "/no/such/hook"}, "/hooks/x/0")], STATE, KIND)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_signal_is_named() -> None:
    with pytest.raises(HookError, match="killed by signal 11 after"):
        run_hooks([shell("kill -SEGV $$")], STATE, KIND)


def test_a_missing_hook_is_not_told_as_a_missing_command_of_the_user() -> None:
    """Engines take "no such file or directory" for the fate of process.args[0] (contracts.md 1.4)."""
    with pytest.raises(HookError, match=r"/no/such/hook: cannot be run: not there \(ENOENT\)"):
        run_hooks([Section({"path": "/no/such/hook"}, "/hooks/x/0")], STATE, KIND)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({}, "/h/path"),
        ({"path": "bin/sh"}, "/h/path"),
        ({"path": "/bin/sh", "timeout": 0}, "/h/timeout"),
        ({"path": "/bin/sh", "timeout": -1}, "/h/timeout"),
        ({"path": "/bin/sh", "timeout": "3"}, "/h/timeout"),
        ({"path": "/bin/sh", "env": ["A"]}, "/h/env/0"),
        ({"path": "/bin/sh", "args": [1]}, "/h/args/0"),
    ],
)
def test_a_wrong_hook_is_refused_with_its_field(fields: dict[str, object], pointer: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_hook(Section(fields, "/h"))
    assert caught.value.pointer == pointer
