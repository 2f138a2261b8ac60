# SPDX-License-Identifier: Apache-2.0
"""C sources of the few modules of Python that Debian's libpython3.11.a leaves out, from Debian's source package."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

_CORE = ("-DPy_BUILD_CORE_BUILTIN",)
_FFI = (
    *("-DHAVE_FFI_PREP_CIF_VAR", "-DHAVE_FFI_PREP_CLOSURE_LOC", "-DHAVE_FFI_CLOSURE_ALLOC"),
    *(f"-Ddl{word}=onefile_dl{word}" for word in ("open", "sym", "close", "error")),
)
_CTYPES = ("_ctypes.c", "callbacks.c", "callproc.c", "cfield.c", "stgdict.c", "malloc_closure.c")

EXTENSIONS: "dict[str, tuple[tuple[str, ...], tuple[str, ...]]]" = {
    "_json": (("_json.c",), _CORE),
    "_typing": (("_typingmodule.c",), _CORE),
    "_contextvars": (("_contextvarsmodule.c",), _CORE),
    "_queue": (("_queuemodule.c",), _CORE),
    "termios": (("termios.c",), ()),
    "resource": (("resource.c",), ()),
    "_ctypes": (tuple(f"_ctypes/{name}" for name in _CTYPES), (*_CORE, *_FFI)),
}
"""Module: its files below Modules/ of the source, and the flags that Modules/Setup.stdlib.in gives them."""


def fetch(work: Path) -> Path:
    """The folder Modules of the source package of this interpreter's version, fetched once and checked by apt."""
    version = ".".join(map(str, sys.version_info[:3]))
    folder = work / f"Python-{version}" / "Modules"
    if folder.is_dir():
        return folder
    lists, cache = work / "apt/lists", work / "apt/cache"
    for path in (lists / "partial", cache / "archives/partial"):
        path.mkdir(parents=True, exist_ok=True)
    suite = _suite()
    mirror = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
    (work / "apt/sources.list").write_text(f"deb-src {mirror} {suite} main\n", "ascii")
    options = [
        *("-qq", "-o", f"Dir::Etc::SourceList={work}/apt/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null"),
        *("-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"),
        *("-o", "APT::Sandbox::User=root" if os.geteuid() == 0 else "Debug::NoLocking=1"),
    ]
    subprocess.run(["apt-get", *options, "update"], check=True)
    subprocess.run(["apt-get", *options, "source", "--download-only", "--tar-only", "python3.11"], check=True, cwd=work)
    (tarball,) = work.glob(f"python3.11_{version}.orig.tar.*")
    with tarfile.open(tarball) as tar:
        tar.extractall(work, [member for member in tar if "/Modules/" in member.name])
    return folder


def _suite() -> str:
    """The name of this Debian: os-release(5)."""
    for line in Path("/etc/os-release").read_text("utf-8").splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise SystemExit("the one-file binary is built on Debian: /etc/os-release names no VERSION_CODENAME")
