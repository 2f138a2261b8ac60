# SPDX-License-Identifier: Apache-2.0
"""What dist/pyrunc does first. When it is built: import all of pyrunc that needs no module of the archive, and run what
each call will (warm.py), which the snapshot then keeps. In each call: run.

Python's own way of finding a module (locks, finders, specs) needs the main phase of its start; a module that is frozen
into the program needs none of it. The first import of one that is not, such as typer, completes the interpreter and
takes it from the archive behind the program.
"""

import _imp
import builtins
import gc
import sys
from _imp import create_builtin, exec_builtin, init_frozen
from sys import modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

importlib: "Any" = modules["_frozen_importlib"]
_SLOW: "Callable[..., ModuleType]" = importlib._find_and_load


class _Spec:
    """As much of a ModuleSpec as a module in C is made from."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def _find_and_load(name: str, import_: "Callable[[str], ModuleType]") -> "ModuleType":
    """In place of importlib's, which C calls for a module that is not in sys.modules."""
    package, _, own = name.rpartition(".")
    if package and package not in modules:
        import_(package)
        if name in modules:
            return modules[name]
    module = init_frozen(name)
    if module is not None:
        if package:
            setattr(modules[package], own, module)
        return module
    if name in sys.builtin_module_names:
        module = create_builtin(_Spec(name))
        modules[name] = module
        exec_builtin(module)
        return module
    return _complete(name, import_)


def _complete(name: str, import_: "Callable[[str], ModuleType]") -> "ModuleType":
    """The ordinary import of everything from now on, with locks and finders, as libraries expect it."""
    if building:
        raise ImportError(name)
    if importlib._find_and_load is not _SLOW:
        import encodings

        from _onefile import complete

        importlib._find_and_load = _SLOW
        complete()
        encodings.__path__ = [f"{sys.executable}/encodings"]
    return _SLOW(name, import_)


def _open(*arguments: "Any", **options: "Any") -> "Any":
    """Part of the main phase, too; replaces itself by the real one."""
    from _io import open

    builtins.open = open
    return open(*arguments, **options)


def _prepare() -> None:
    """Frozen objects are never looked at by the collector, which would copy each of their pages."""
    importlib._find_and_load = _find_and_load
    setattr(builtins, "open", _open)  # noqa: B010 mypy knows its type
    for name in getattr(_imp, "_frozen_module_names")():  # noqa: B009 mypy does not know it
        if name.partition(".")[0] == "pyrunc":
            with _Without():
                __import__(name)
    __import__("_onefile_warm").warm()
    gc.collect()
    gc.freeze()
    # What a call makes is needed until its end; one that stays for days (`run`) must not grow.
    gc.set_threshold(20_000)


class _Without:
    """A module of the archive, or one that needs it: its import waits until it is asked for."""

    def __enter__(self) -> None:
        global building
        building = True

    def __exit__(self, kind: "type[BaseException] | None", *_: object) -> bool:
        global building
        building = False
        return kind is not None and issubclass(kind, ImportError)


def run() -> None:
    """In each call."""
    from pyrunc.cli.main import main

    main()


building = False
_prepare()
