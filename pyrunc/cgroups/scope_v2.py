# SPDX-License-Identifier: Apache-2.0
"""A scope of systemd in a cgroup2 tree."""

import posix

from pyrunc.cgroups import files, tree
from pyrunc.cgroups.scope import Scope
from pyrunc.cgroups.v2 import Unified

_W_OK = 2


class UnifiedScope(Scope, Unified):
    """See Scope."""

    def _create(self, planned: "list[str]") -> None:
        self._start()
        scope = self._scope_of(self.path)
        self.made.append(scope)
        try:
            if scope != self.path:
                tree.make(self.path, [one for one in planned if not files.exists(one)], self.made)
                # A cgroup with processes cannot pass controllers on (cgroups(7), "no internal processes")
                files.write(f"{self.path}/cgroup.procs", str(self._holder))
            self._pass_controllers()
        except OSError as error:
            raise tree.not_made(self.path, error) from error
        self._fresh = True
        self._check_running()
        self._give()

    def entrances(
        self, sub: "dict[str, str] | None" = None, init: "int | None" = None
    ) -> "tuple[int | None, list[int]]":
        self._asks = self.unit.user and not self._reaches()
        return (None, []) if self._asks else super().entrances(sub, init)

    def _reaches(self) -> bool:
        """Whether we may bring processes in, by the cgroup that is above both it and us (cgroups(7)).

        The session of a user, made by the system's manager, is not below what his own manager has been given.
        """
        ours = next((line[3:] for line in files.read("/proc/self/cgroup").splitlines() if line[:3] == "0::"), "/")
        common = self.root
        for mine, its in zip(ours.split("/")[1:], self.path[len(self.root) :].split("/")[1:], strict=False):
            if mine != its:
                break
            common += f"/{its}"
        return posix.access(f"{common}/cgroup.procs", _W_OK)

    def attach(self, pid: int, sub: "dict[str, str] | None" = None) -> None:
        if self._asks:
            below = self.path[len(self._scope_of(self.path)) :]
            self.unit.attach(pid, f"{below}/{(sub or {}).get('', '')}")
