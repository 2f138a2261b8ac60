# SPDX-License-Identifier: Apache-2.0
"""The command line: one table of commands, a small parser for the calls that succeed, Typer for the rest."""
