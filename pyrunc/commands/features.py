# SPDX-License-Identifier: Apache-2.0
"""pyrunc features: what this version can do, as JSON."""

from pyrunc.commands import output
from pyrunc.config.dump import dump
from pyrunc.container.features import features

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(_: "Settings", __: "dict[str, Any]") -> int:
    output(dump(features(), 4) + "\n")
    return 0
