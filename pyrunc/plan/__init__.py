# SPDX-License-Identifier: Apache-2.0
"""The compiler from config.json to a program of syscalls; one module for each concern."""
