# SPDX-License-Identifier: Apache-2.0
"""The build hook: compiles pyrunc-init into the package, so that a wheel and an editable install both have it."""

import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class InitBuildHook(BuildHookInterface[Any]):
    """A wheel has the helper and so its platform; no interpreter's ABI, as there is no extension module."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 the interface's name
        """Compile, and name the result for the wheel, since .gitignore leaves it out."""
        if self.target_name != "wheel":
            return
        output = runpy.run_path(str(Path(self.root, "pyrunc", "init", "build.py")))["build"]()
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["infer_tag"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["artifacts"].append(str(output.relative_to(self.root)))
