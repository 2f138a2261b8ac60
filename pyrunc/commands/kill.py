# SPDX-License-Identifier: Apache-2.0
"""pyrunc kill CONTAINER [SIGNAL]: send a signal to the process of a container."""

from pyrunc.container.kill import kill
from pyrunc.linux.signals import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.settings import Settings


def run(settings: "Settings", values: "dict[str, Any]") -> int:
    word = values["signal"]
    signal = None if word is None else number(word)
    kill(settings, values["container"], signal, all=values["all"])
    return 0
