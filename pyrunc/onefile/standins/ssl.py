# SPDX-License-Identifier: Apache-2.0
"""pyroute2 imports ssl for a probe that pyrunc never sends, asyncio these names. OpenSSL is as big as Python."""


class SSLError(OSError): ...


class SSLWantReadError(SSLError): ...


class SSLWantWriteError(SSLError): ...


class SSLSyscallError(SSLError): ...
