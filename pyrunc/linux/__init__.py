# SPDX-License-Identifier: Apache-2.0
"""Rows of kernel facts, and the facts of this host."""
