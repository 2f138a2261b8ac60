# SPDX-License-Identifier: Apache-2.0
"""Part B: what an interpreter as a runtime could do wrong: load code, tell its insides, write where it should not."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.containers.box import CONFIG, Box, namespaces, runtime
from tests.security.throwaway import Throwaway

SO = """
#include <stdio.h>
__attribute__((constructor)) static void loaded(void)
{
	FILE *file = fopen("%s", "a");
	if (file)
		fputs("loaded\\n", file);
}
"""
MODULES = (
    "json",
    "encodings",
    "codecs",
    "os",
    "posix",
    "re",
    "ctypes",
    "socket",
    "linecache",
    "traceback",
    "typer",
    "pwd",
)
"""Modules that the runtime, its libraries or an error might import."""


@pytest.fixture(scope="session")
def evil(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A shared library that leaves a mark, and the mark."""
    folder = tmp_path_factory.mktemp("evil")
    folder.chmod(0o777)
    mark = folder / "mark"
    (folder / "evil.c").write_text(SO % mark)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "evil.so", folder / "evil.c"], check=True)
    return folder / "evil.so", mark


def poison(rootfs: Path, library: Path, mark: Path) -> None:
    """An image in which everything that a host process might load leaves a mark on the host, if it can see it."""
    for folder in ("lib", "lib64", "usr/lib", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"):
        (rootfs / folder).mkdir(parents=True, exist_ok=True)
        for name in ("libnss_files.so.2", "libnss_dns.so.2", "libnss_compat.so.2", "libc.so.6", "libseccomp.so.2"):
            shutil.copy(library, rootfs / folder / name)
    for name in ("gconv", "locale"):
        (rootfs / "usr/lib" / name).mkdir(exist_ok=True)
    shutil.copy(library, rootfs / "usr/lib/gconv/UTF-16.so")
    (rootfs / "evil.so").write_bytes(library.read_bytes())
    (rootfs / "etc/ld.so.preload").write_text("/evil.so\n")
    (rootfs / "etc/nsswitch.conf").write_text("passwd: files evil\nhosts: evil\n")
    (rootfs / "etc/passwd").write_text("root:x:0:0::/home:/bin/sh\n")
    for place in (
        "usr/lib/python3.11",
        "usr/lib/python3/dist-packages",
        "usr/local/lib/python3.11",
        "",
        "root",
        "home",
    ):
        (rootfs / place).mkdir(parents=True, exist_ok=True)
        for module in MODULES:
            (rootfs / place / f"{module}.py").write_text(f"open({str(mark)!r}, 'a').write('imported')\n")


@pytest.mark.parametrize("verb", ["run", "exec", "error", "hook", "traceback"])
def test_container_file_load(box: Box, evil: tuple[Path, Path], verb: str) -> None:
    """CVE-2019-14271. The image has hostile libnss, libc, gconv, ld.so.preload and Python modules, and the folder of
    the marks as a volume: a host process that entered it and loaded any of them would leave a mark.
    """
    library, mark = evil
    mark.unlink(missing_ok=True)
    poison(box.rootfs, library, mark)
    seen_by_chroot = box.rootfs / str(mark)[1:]
    seen_by_chroot.parent.mkdir(parents=True)
    volume = {"destination": str(mark.parent), "source": str(mark.parent), "options": ["rbind"]}
    patch: dict[str, Any] = {"+mounts": [volume], "process": {"user": {"uid": 0, "gid": 0}}}
    if verb == "exec":
        box.start(patch, "sleep 100")
        assert box.exec("echo in").out == "in"
    elif verb == "error":
        box.run(patch, "/missing", "x", status=1, cwd=box.rootfs)
    elif verb == "hook":
        patch["hooks"] = {"startContainer": [{"path": "/bin/true"}], "createRuntime": [{"path": "/bin/true"}]}
        box.run(patch, "true", cwd=box.rootfs)
    elif verb == "traceback":
        box.write(patch, "/missing", "x")
        box.pyrunc("--debug", "run", "--bundle", box.bundle, box.id, status=1, cwd=box.rootfs)
    else:
        assert box.run(patch, "echo in", cwd=box.rootfs).out == "in"
    assert not mark.exists(), mark.read_text()
    assert not seen_by_chroot.exists(), seen_by_chroot.read_text()


ENVIRONMENTS: dict[str, dict[str, str]] = {
    "path": {"PYTHONPATH": "{evil}", "PYTHONSTARTUP": "{evil}/json.py", "PYTHONUSERBASE": "{evil}"},
    "home": {"PYTHONHOME": "{evil}"},
    "warnings": {"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1", "PYTHONINSPECT": "1"},
    "malloc": {"PYTHONMALLOC": "nonsense", "PYTHONHASHSEED": "nonsense", "PYTHONIOENCODING": "nonsense"},
    "locale": {"LC_ALL": "C", "LANG": "xx_YY.UTF-16", "PYTHONUTF8": "nonsense", "PYTHONCOERCECLOCALE": "warn"},
    "bytecode": {"PYTHONPYCACHEPREFIX": "{evil}", "PYTHONDONTWRITEBYTECODE": ""},
    "tracing": {
        "PYTHONTRACEMALLOC": "5",
        "PYTHONFAULTHANDLER": "1",
        "PYTHONVERBOSE": "1",
        "PYTHONPROFILEIMPORTTIME": "1",
    },
    "no path": {"PATH": "{evil}", "HOME": "{evil}", "TMPDIR": "{evil}", "XDG_DATA_HOME": "{evil}"},
    "shell": {"ENV": "{evil}/rc", "BASH_ENV": "{evil}/rc", "CDPATH": "{evil}", "IFS": "/"},
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_python_import_hijack(box: Box, tmp_path: Path, name: str) -> None:
    """B3. The caller's environment, working directory and home have modules, a site, a shell's start file and
    programs. None of them runs, and none of the settings breaks the runtime or changes what it prints.
    """
    folder = tmp_path / "hijack"
    folder.mkdir()
    mark = tmp_path / "mark"
    code = f"open({str(mark)!r}, 'a').write('imported')\n"
    for module in (*MODULES, "pyrunc", "sitecustomize", "usercustomize", "errno"):
        (folder / f"{module}.py").write_text(code)
    site = folder / "lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (site / "evil.pth").write_text(f"import os; {code}")
    (folder / "rc").write_text(f"echo hijacked >> {mark}\n")
    for program in ("python3", "readlink", "sh", "env"):
        (folder / program).write_text(f"#!/bin/sh\necho hijacked >> {mark}\n")
        (folder / program).chmod(0o755)
    changes = {key: value.format(evil=folder) for key, value in ENVIRONMENTS[name].items()}
    environment = {**os.environ, **changes}
    result = box.run({}, "echo in", env=environment, cwd=folder)
    assert (result.out, result.err) == ("in", "")
    assert box.pyrunc("--nonsense", status=1, env=environment, cwd=folder).err
    link = tmp_path / "link"
    link.symlink_to(runtime())
    version = subprocess.run([link, "--version"], check=True, capture_output=True, env=environment, cwd=folder)
    assert version.stdout.startswith(b"pyrunc")
    broken = box.run({"hostname": 7}, "true", status=1, env=environment, cwd=folder).err
    assert "/hostname" in broken
    assert not mark.exists()


HOSTILE_JSON = {
    "deep arrays": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000,
    "deep in a field": b'{"ociVersion": "1.0.2", "annotations": ' + b"[" * 100 + b"]" * 100 + b"}",
    "huge integer": b'{"ociVersion": ' + b"9" * 100_000 + b"}",
    "huge exponent": b'{"ociVersion": 1e999999999}',
    "long exponent": b'{"ociVersion": 1e' + b"9" * 100_000 + b"}",
    "not a number": b'{"ociVersion": NaN}',
    "infinity": b'{"ociVersion": -Infinity}',
    "given twice": b'{"ociVersion": "1.0.2", "ociVersion": "1.0.2"}',
    "twice by escape": b'{"ociVersion": "1.0.2", "oci\\u0056ersion": "1.0.2"}',
    "lone surrogate": b'{"ociVersion": "\\ud800"}',
    "surrogate as a name": b'{"\\udc00": 1}',
    "surrogates swapped": b'{"ociVersion": "\\udc00\\ud800"}',
    "nul": b'{"ociVersion": "1.0.2\\u0000"}',
    "nul as a name": b'{"a\\u0000b": 1}',
    "raw nul": b'{"ociVersion": "1.0\x00"}',
    "raw control": b'{"ociVersion": "1.0\n"}',
    "latin": b'{"ociVersion": "\xe9"}',
    "overlong": b'{"ociVersion": "\xc0\xaf"}',
    "utf-16": '{"ociVersion": "1.0.2"}'.encode("utf-16"),
    "bom": b'\xef\xbb\xbf{"ociVersion": "1.0.2"}',
    "null": b"null",
    "array": b"[]",
    "string": b'"config"',
    "nothing": b"",
    "blanks": b" " * 100_000,
    "truncated": b'{"ociVersion": "1.0.2", "root',
    "two": b'{"ociVersion": "1.0.2"} {}',
    "comment": b'{"ociVersion": "1.0.2" /* why */}',
    "bad escape": b'{"ociVersion": "\\x"}',
    "17 MiB": b'{"ociVersion": "' + b"1" * (17 << 20) + b'"}',
    "17 MiB of blanks": b"{" + b" " * (17 << 20) + b"}",
}


WORDS = {
    "nested": ("deep arrays", "deep objects", "deep in a field"),
    "out of any range": ("huge integer", "huge exponent", "long exponent"),
    "no number of JSON": ("not a number", "infinity"),
    "is given twice": ("given twice", "twice by escape"),
    "surrogate": ("lone surrogate", "surrogate as a name", "surrogates swapped"),
    "NUL": ("nul", "nul as a name"),
    "control character": ("raw nul", "raw control"),
    "not UTF-8": ("latin", "overlong", "utf-16"),
    "must be a JSON object": ("null", "array", "string"),
    "after the end": ("two",),
    "larger than 16 MiB": ("17 MiB", "17 MiB of blanks"),
}
"""What each is told to be; the rest is `invalid JSON`."""


@pytest.mark.parametrize("name", HOSTILE_JSON)
@pytest.mark.parametrize("where", ["config", "process"])
def test_config_malformed(box: Box, name: str, where: str) -> None:
    """B4. A config.json, or a --process file, that is no JSON, too deep, too large, or means two things: one line,
    status of an error, nothing made, within seconds.
    """
    if where == "process":
        box.start({}, "sleep 100")
        file = box.folder / "process.json"
        file.write_bytes(HOSTILE_JSON[name])
        result = box.pyrunc("exec", "--process", file, box.id, status=255)
    else:
        (box.bundle / "config.json").write_bytes(HOSTILE_JSON[name])
        result = box.pyrunc("run", "--bundle", box.bundle, box.id, status=1)
    told(result.err)
    assert next((words for words, names in WORDS.items() if name in names), "invalid JSON") in result.err


def told(error: str) -> None:
    """One line, which is no traceback and no defect."""
    assert len(error.splitlines()) == 1, error[:500]
    assert error.startswith("pyrunc: ")
    assert "Traceback" not in error
    assert "internal error" not in error
    assert len(error) < 1000


def test_config_huge(box: Box) -> None:
    """B4. A configuration of nearly the greatest size is no problem of time or memory, nor one beyond it."""
    box.write({"annotations": {f"key{n}": "x" * 1000 for n in range(15_000)}}, "true")
    box.pyrunc("run", "--bundle", box.bundle, box.id)
    box.write({"annotations": {f"key{n}": "x" * 1000 for n in range(18_000)}}, "true")
    told(error := box.pyrunc("run", "--bundle", box.bundle, box.id, status=1).err)
    assert "larger than 16 MiB" in error


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "socket", "loop", "missing"])
def test_config_special_files(box: Box, kind: str) -> None:
    """B4. config.json is a fifo that nobody writes to, or another special file: an error, and not a hang."""
    from tests.security.test_special_files import special

    for target in (box.bundle / "config.json", box.folder / "process.json"):
        if kind != "missing":
            special(kind, target)
    told(box.pyrunc("run", "--bundle", box.bundle, box.id, status=1).err)
    told(box.pyrunc("exec", "--process", box.folder / "process.json", "x", status=255).err)


NUL_FIELDS = (
    *('"hostname"', '"root": {"path"', '"process": {"cwd"', '"process": {"args": [', '"process": {"env": ['),
    *('"linux": {"cgroupsPath"', '"linux": {"maskedPaths": [', '"mounts": [{"destination"', '"annotations": {"a"'),
)


@pytest.mark.parametrize("field", NUL_FIELDS)
def test_config_nul_bytes(box: Box, field: str) -> None:
    """B6. C ends a string at its first NUL: one path would be checked and another one used. Refused."""
    close = {"[": "]", "{": "}"}
    value = '"/safe\\u0000/../.."' if field.endswith("[") else ': "/safe\\u0000/../.."'
    ends = "".join(close[c] for c in reversed(field) if c in close)
    (box.bundle / "config.json").write_text('{"ociVersion": "1.0.2", ' + field + value + ends + "}")
    error = box.pyrunc("run", "--bundle", box.bundle, box.id, status=1).err
    assert "NUL" in error
    told(error)


def test_bytecode_writes(box: Box, tmp_path: Path) -> None:
    """B11. No call writes bytecode, neither beside the sources nor elsewhere, nor anything into the bundle or the
    caller's working directory and home.
    """
    tree, home = tmp_path / "tree", tmp_path / "home"
    home.mkdir()
    source = Path(runtime()).resolve()
    while not (source / "pyrunc/cli").is_dir():
        source = source.parent
    shutil.copytree(source / "pyrunc", tree / "pyrunc", ignore=shutil.ignore_patterns("__pycache__"))
    launcher = tree / "pyrunc/launcher/pyrunc"
    box.write({}, "true")

    def files() -> list[str]:
        return sorted(str(path) for top in (tree, home, box.bundle) for path in top.rglob("*"))

    before = files()
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home)}
    for verb in (
        ("run", "-b", str(box.bundle), box.id),
        ("list",),
        ("run", "x", "y", "z"),
        ("plan", "-b", str(box.bundle)),
    ):
        subprocess.run(
            [launcher, "--root", box.root, *verb], check=False, capture_output=True, env=environment, cwd=home
        )
    assert files() == before


def test_helper_in_memory_only(throwaway: Throwaway) -> None:
    """CVE-2019-5736. Where memory cannot be executed (vm.memfd_noexec=2) the runtime refuses, and does not run the
    helper's file on the disk.
    """
    setting = "/proc/sys/vm/memfd_noexec"
    if not throwaway.path(setting).exists() or throwaway.run("sh", "-c", f"echo 2 > {setting}").status:
        pytest.skip("this kernel has no vm.memfd_noexec for a pid namespace")
    folder = throwaway.path("/run/bundle/rootfs")
    folder.mkdir(parents=True)
    rows = namespaces("mount", "ipc")
    (folder.parent / "config.json").write_text(json.dumps({**CONFIG, "linux": rows["linux"], "mounts": []}))
    result = throwaway.pyrunc("--root", "/run/pyrunc", "run", "--bundle", "/run/bundle", "name")
    assert result.status == 1
    assert "memfd_create" in result.err
    assert not list(throwaway.path("/run/pyrunc").glob("name"))


@pytest.mark.parametrize("argument", [b"\xff\xfe", "\ud7ff".encode(), b"a\xc3"])
def test_arguments_that_are_no_text(box: Box, argument: bytes) -> None:
    """B6. Arguments and environment of exec are bytes: passed as they are, or refused in one line."""
    box.start({}, "sleep 100")
    command: list[str | bytes] = [runtime(), "--root", str(box.root), "exec", box.id, "printf", "%s", argument]
    result = subprocess.run(command, check=False, capture_output=True)
    assert result.stdout == argument or result.returncode == 255
    assert b"internal error" not in result.stderr
