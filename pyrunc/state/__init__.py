# SPDX-License-Identifier: Apache-2.0
"""The state of containers below --root, written so that a crash loses nothing."""
