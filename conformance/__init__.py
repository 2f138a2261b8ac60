# SPDX-License-Identifier: Apache-2.0
"""The OCI runtime-spec as tests that any runtime can run: `python -m conformance --runtime PATH` (docs/conformance.md).

It needs Python's standard library and a static busybox; a C compiler adds what only a system call can tell. Nothing of
it knows the runtime under test: the spec's operations as runc's command line has them are all it uses.
"""
