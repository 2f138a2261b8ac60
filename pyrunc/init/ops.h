/* SPDX-License-Identifier: Apache-2.0 */
/* Written by `python -m pyrunc.plan.ops`; do not edit. */
#ifndef PYRUNC_OPS_H
#define PYRUNC_OPS_H

#define FORMAT_MAGIC (1230133584)
#define FORMAT_VERSION (1)
#define PROGRAM_MAX (33554432)
#define REGISTERS_MAX (60000)
#define DETAIL_MAX (1024)
#define NO_REGISTER (65535)
#define IMMEDIATE (0)
#define BLOB (1)
#define REGISTER (2)
#define LOAD (3)
#define KIND_DIRECTORY (0)
#define KIND_FILE (1)
#define KIND_LIKE (2)
#define CHECK_NODE (0)
#define CHECK_FS (1)
#define CHECK_BYTE (2)
#define CHECK_OTHER_FS (3)
#define REPORT_PID (1)
#define REPORT_SYNC (2)
#define REPORT_ERROR (3)
#define REPORT_HOOK (4)
#define HOOK_TIMED_OUT (-1)
#define HOOK_NOT_EXECUTED (-1000)

enum op_code {
	/* nr; 6 operands; result register; accepted errnos */
	OP_SYSCALL = 1,
	/* 0: address, 1: bytes (4 or 8), 2: value; a register into a struct of the blob */
	OP_STORE = 2,
	/* 0: root fd, 1: path, 2: kind, 3: mode, 4: fd to be like; result: O_PATH fd */
	OP_MKPATH = 3,
	/* 0: fd or address, 1: CHECK_NODE, CHECK_FS, CHECK_OTHER_FS or CHECK_BYTE, 2: type, magic or byte, 3: device */
	OP_CHECK = 4,
	/* 0: struct clone_args, 1: its size; the child reports its pid and goes on, the parent leaves */
	OP_CLONE = 5,
	/* 0: point, 1 and 2: fds to look at; reports them and waits for one zero byte, anything else ends the helper */
	OP_SYNC = 6,
	/* 0: path, 1: argv, 2: envp, 3: fd for stdin, 4: milliseconds or 0 */
	OP_HOOK = 7,
	/* 0: array of paths to try, 1: argv, 2: envp */
	OP_EXEC = 8,
	/* 0: fd for reports, 1: fd for answers; from here on */
	OP_CHANNEL = 9,
	/* goes on skip_ok instructions further, or where operand 0 is an accepted errno skip_err */
	OP_JUMP = 10,
};

#endif
