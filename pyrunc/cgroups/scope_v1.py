# SPDX-License-Identifier: Apache-2.0
"""A scope of systemd in the hierarchies of cgroup v1."""

from pyrunc.cgroups import files
from pyrunc.cgroups.scope import Scope
from pyrunc.cgroups.v1 import Legacy


class LegacyScope(Scope, Legacy):
    """See Scope. systemd makes the scope in the hierarchies that it uses; in all others it is made here."""

    def _create(self, planned: "list[str]") -> None:
        self._start()
        there = [one for one in planned if files.exists(one)]
        scopes = self._scopes()
        # The slices that are there by now are systemd's
        self.made += [one for one in there if any(f"{one}/".startswith(f"{scope}/") for scope in scopes)]
        super()._create([one for one in planned if one not in there])
