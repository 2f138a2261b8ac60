# SPDX-License-Identifier: Apache-2.0
"""pyroute2 imports sqlite3 for a database of routes, which pyrunc has no use for."""
