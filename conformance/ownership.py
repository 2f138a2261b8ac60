# SPDX-License-Identifier: Apache-2.0
"""What a container with a user namespace needs of the host: a root that its root may use."""

import os

from conformance.box import Box


def give(box: Box, owner: int = 100000) -> None:
    """The root file system to the container's root; the way to it stays readable."""
    for folder, names, files in os.walk(box.rootfs):
        for name in (".", *names, *files):
            path = f"{folder}/{name}"
            if os.lstat(path).st_nlink == 1 or name == "." or name in names:  # not busybox: it is shared by all cases
                os.lchown(path, owner, owner)
    for above in (box.folder, box.bundle):
        above.chmod(0o755)
