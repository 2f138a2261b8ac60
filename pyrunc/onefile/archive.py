# SPDX-License-Identifier: Apache-2.0
"""The archive behind dist/pyrunc: what help, `validate` and network devices load, compiled, as zipimport reads it."""

import ast
import importlib.util
import io
import marshal
import modulefinder
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOTS = ("encodings.idna", "importlib.resources", "importlib.readers", "traceback", "warnings")
"""What Python itself imports when it needs it."""

HERE = Path(__file__).resolve().parent

_LEFT_OUT = ("test", "tests", "benchmarks", "__pycache__", "idlelib", "tkinter", "lib2to3", "ensurepip", "pydoc_data")
_EPOCH = (1980, 1, 1, 0, 0, 0)


def archive(work: Path, root: Path) -> bytes:
    """A zip file: the packages of requirements.txt whole, and of Python what they import."""
    packages = work / "packages"
    if not packages.is_dir():
        pip = root / ".venv/bin/pip"
        words = ["install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:", "--target", str(packages)]
        subprocess.run([pip, *words, "-r", HERE / "requirements.txt"], check=True)
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, data in sorted({**dict(_stdlib(packages, root)), **dict(_packages(packages, root))}.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)  # equal sources give equal bytes
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, data)
    return raw.getvalue()


def _packages(packages: Path, root: Path) -> "Iterator[tuple[str, bytes]]":
    for path in sorted(packages.rglob("*")):
        name = path.relative_to(packages)
        if path.is_dir() or set(name.parts) & {*_LEFT_OUT, "bin"} or path.suffix == ".so":
            continue
        if path.suffix == ".py":
            yield f"{name}c", _compiled(path.read_bytes(), str(name))
        elif path.suffix not in (".pyi", ".pyc", ".typed") and name.parts[0][-10:] != ".dist-info":
            yield str(name), path.read_bytes()
    for path in (root / "spec").glob("*.schema.json"):
        yield f"pyrunc/spec/{path.name}", path.read_bytes()
    for path in (HERE / "standins").glob("*.py"):
        yield f"{path.stem}.pyc", _compiled(path.read_bytes(), path.name)


def _stdlib(packages: Path, root: Path) -> Iterator[tuple[str, bytes]]:
    """The modules of Python that pyrunc and the packages reach, whatever they import them for."""
    library = Path(os.__file__).parent
    finder = modulefinder.ModuleFinder([str(packages), str(HERE / "standins"), str(library)], excludes=_LEFT_OUT)
    for name in {*ROOTS, *_imported(root / "pyrunc"), *_imported(packages)}:
        with suppress(ImportError):  # os.path and the like are in no file
            finder.import_hook(name)
    for file in (library / "encodings").glob("*.py"):
        yield f"encodings/{file.stem}.pyc", _compiled(file.read_bytes(), f"encodings/{file.name}")
    for module in finder.modules.values():
        path = Path(getattr(module, "__file__", None) or "/")
        if path.suffix == ".py" and path.is_relative_to(library) and "packages" not in path.parent.name:
            name = str(path.relative_to(library))
            yield f"{name}c", _compiled(path.read_bytes(), name)


def _imported(folder: Path) -> Iterator[str]:
    """The modules of Python that a file below `folder` imports anywhere."""
    for path in folder.rglob("*.py"):
        if {*path.relative_to(folder).parts} & {*_LEFT_OUT, "onefile"}:
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            yield from (name for name in names if _is_pythons(name))


def _is_pythons(name: str) -> bool:
    """Whether it is in the standard library of this interpreter, on this system."""
    if name.partition(".")[0] not in sys.stdlib_module_names or name.partition(".")[0] in _LEFT_OUT:
        return False
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def _compiled(source: bytes, name: str) -> bytes:
    """A .pyc that is never compared with a source: PEP 552, flags 1 (hash-based, unchecked)."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    return importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code)
