# SPDX-License-Identifier: Apache-2.0
"""What dist/pyrunc runs first: an import for modules that are frozen into the program, then pyrunc itself.

Python's own way of finding a module (locks, finders, specs) takes 30 us for each of the 60 modules of a call; one that
is in the program needs none of it. The first import of one that is not, such as typer, completes the interpreter and
takes it from the archive behind the program.
"""

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


def _start() -> None:
    # What a call makes is needed until its end; one that stays for days (`run`) must not grow.
    gc.set_threshold(20_000)
    importlib._find_and_load = _find_and_load
    setattr(builtins, "open", _open)  # noqa: B010 mypy knows its type

    from pyrunc.cli.main import main

    main()


_start()
