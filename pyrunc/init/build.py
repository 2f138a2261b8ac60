# SPDX-License-Identifier: Apache-2.0
"""Compiles pyrunc-init: `build.py [OUTPUT]`. The one place that knows its sources and flags.

make, pip (hatch_build.py) and the tests call it, so that there is one way to build the helper. CC names another
compiler, such as aarch64-linux-gnu-gcc.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "pyrunc-init"

FLAGS = (
    "-std=gnu17",
    "-Os",
    # No libc: nothing that a container could replace, and nothing that starts before _start
    "-ffreestanding",
    "-nostdlib",
    "-static",
    "-fno-pie",
    # One piece of memory is numbers to us, and strings and structs to the kernel
    "-fno-strict-aliasing",
    # What would call into a libc, or fill pages that nobody reads
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
    "-fno-ident",
    # The helper is copied to a memfd for each container: every page counts
    "-Wl,--build-id=none,--gc-sections,-z,noexecstack,-z,noseparate-code",
    "-ffunction-sections",
    "-s",
    # -Wswitch-enum: an instruction that is forgotten is an error
    "-Wall",
    "-Wextra",
    "-Wswitch-enum",
    "-Wvla",
    "-Wshadow",
    "-Werror",
)


def build(output: Path = OUTPUT) -> Path:
    """Compile to `output`, which appears whole or not at all. CalledProcessError if the compiler is not content."""
    if output.exists() and not output.is_file():
        raise FileExistsError(f"{output} is no file, and would be replaced by one")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    sources = sorted(str(path) for path in HERE.glob("*.c"))
    partial = output.with_name(f"{output.name}.{os.getpid()}")
    # Equal sources give equal bytes, wherever the checkout is.
    prefix = f"-ffile-prefix-map={HERE}=."
    try:
        subprocess.run([*compiler, *FLAGS, prefix, "-o", str(partial), *sources], check=True)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    return output


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT)
