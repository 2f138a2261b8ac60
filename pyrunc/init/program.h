/* SPDX-License-Identifier: Apache-2.0 */
/* The wire format of a program, as plan/ops.py writes it, and the functions that run one.
 *
 *   pyrunc (Python)                         pyrunc-init, parent stage        pyrunc-init, child stage
 *     posix_spawn  ------------------------>  maps the program
 *                                             runs up to CLONE  ------------>  goes on after CLONE
 *                                             leaves
 *     pid          <----------------------------------------------------------  REPORT_PID
 *     sync point   <----------------------------------------------------------  REPORT_SYNC
 *     (maps, cgroup, hooks) one zero byte  ---------------------------------->  goes on
 *     error        <------------------------------------------- REPORT_ERROR (instruction, errno), leaves
 *                                                                              CHANNEL: from here on `start` is there
 *                                                                              EXEC: becomes the container's process
 */
#ifndef PYRUNC_PROGRAM_H
#define PYRUNC_PROGRAM_H

#include "ops.h"
#include "syscall.h"

struct header {
	u32 magic;
	u16 version;
	u16 registers;
	u32 instructions;
	u32 relocations;
	u32 blob;
	s32 reports;
	s32 answers;
	u32 zero;
};

struct instruction {
	u8 code;
	u8 zero;
	u16 skip_ok;
	u16 skip_err;
	u16 nr;
	u16 result;
	u8 kind[6];
	u8 accept[6];
	u16 zero2;
	s64 operand[6];
};

struct report {
	u8 kind;
	u8 zero;
	u16 length;
	u32 instruction;
	s64 value;
	char detail[DETAIL_MAX];
};

struct program {
	s64 *registers;
	const struct instruction *instructions;
	char *blob;
	u32 count;
	s32 reports;
	s32 answers;
};

_Static_assert(sizeof(struct header) == 32, "header as in plan/ops.py");
_Static_assert(sizeof(struct instruction) == 72, "instruction as in plan/ops.py");
_Static_assert(sizeof(struct report) == 16 + DETAIL_MAX, "report as in plan/ops.py");

struct open_how {
	u64 flags;
	u64 mode;
	u64 resolve;
};

struct pollfd {
	s32 fd;
	u16 events;
	u16 revents;
};

enum { POLL_IN = 1 };
enum { E_NOENT = 2, E_INTR = 4, E_AGAIN = 11, E_ACCES = 13, E_EXIST = 17, E_NODEV = 19, E_NOTDIR = 20, E_INVAL = 22 };
enum { E_NAMETOOLONG = 36, E_LOOP = 40 };

/* openat2(2) fails with EAGAIN when a rename or mount anywhere goes on at once with a ".."; bounded, so that it ends. */
enum { RACES_MAX = 128 };

enum {
	PATH_SIZE = 4096,
	O_PATH_CLOEXEC = 010000000 | 02000000,
	RESOLVE_NO_MAGICLINKS = 0x02,
	RESOLVE_NO_SYMLINKS = 0x04,
	RESOLVE_BENEATH = 0x08,
	RESOLVE_IN_ROOT = 0x10,
};

/* Returns 0, or -errno when the bytes are not a program. */
s64 program_check(const char *raw, u64 size, struct program *program);
/* Never returns. */
void program_run(struct program *program);
void report_send(s32 fd, struct report *report, u8 kind, u32 instruction, s64 value);
void helper_exit(int status);

/* From the first byte to the last, so that `to` may overlap `from` from below. */
void copy(char *to, const char *from, u64 size);

enum { PAGE = 4096, CLONE_ARGS_SIZE = 64, CLONE_PARENT_SETTID = 0x100000 };

/* run.c: memory that a clone shares with its parent, or -errno */
s64 shared_page(void);

/* path.c: a descriptor, or -errno */
s64 mkpath(s64 root, const char *path, s64 kind, s64 mode, s64 like);
s64 open_beneath(s64 root, const char *path, u64 resolve);
s64 file_type(s64 fd, u64 *rdev);
s64 file_system(s64 fd, u64 *magic);

/* hook.c: a wait status, HOOK_TIMED_OUT, HOOK_NOT_EXECUTED - errno, or -errno - 2000; the last output is in `report` */
s64 hook_run(const char *path, const s64 *argv, const s64 *envp, s64 input, s64 milliseconds, struct report *report);

#endif
