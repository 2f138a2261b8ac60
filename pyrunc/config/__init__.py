# SPDX-License-Identifier: Apache-2.0
"""config.json: read, checked, and read by its JSON pointers."""
