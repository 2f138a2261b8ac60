# SPDX-License-Identifier: Apache-2.0
"""Processes around a container: the helper, its protocol, hooks, the console, foreground supervision."""
