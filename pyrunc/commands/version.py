# SPDX-License-Identifier: Apache-2.0
"""pyrunc version, --version: what docker, podman and go-runc parse."""

from pyrunc import SPEC_VERSION, VERSION
from pyrunc.commands import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(_: "Settings", __: "dict[str, Any]") -> int:
    """Print name, commit (when the build recorded one) and specification.

    docker takes the text round the word "version" of the last line that has it, so that no other line may.
    """
    try:
        from pyrunc import _commit as built  # type: ignore[attr-defined, unused-ignore] # written by the build
    except ImportError:
        commit = ""
    else:
        commit = f"commit: {built.COMMIT}\n"
    output(f"pyrunc version {VERSION}\n{commit}spec: {SPEC_VERSION}\n")
    return 0
