# SPDX-License-Identifier: Apache-2.0
"""python3 -I -S -B -m pyrunc: for development; the program is the launcher, see launcher/pyrunc."""

from pyrunc.cli.main import main

main()
