# SPDX-License-Identifier: Apache-2.0
"""pyrunc: an OCI low-level container runtime that compiles config.json into a program of syscalls."""

VERSION = "0.1.0"
SPEC_VERSION = "1.3.0"
