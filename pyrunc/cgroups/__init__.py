# SPDX-License-Identifier: Apache-2.0
"""Control groups, version 1, 2 and hybrid."""
