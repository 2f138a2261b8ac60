# SPDX-License-Identifier: Apache-2.0
"""Seccomp profiles compiled to BPF by libseccomp, and their cache."""
