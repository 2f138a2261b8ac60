# SPDX-License-Identifier: Apache-2.0
"""What CRIU is asked and what it answers: its program is started as `criu swrk FD`, and spoken to by protobuf messages
(criu.org/RPC, images/rpc.proto of CRIU). No library of CRIU is needed. Knows no container.
"""
