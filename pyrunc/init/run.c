/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter: one case for each instruction; the first failure is reported and ends the helper. */
#include "program.h"

static struct report report;

void report_send(s32 fd, struct report *message, u8 kind, u32 instruction, s64 value)
{
	message->kind = kind;
	message->instruction = instruction;
	message->value = value;
	syscall3(NR_write, fd, message, 16 + message->length);
}

/* After a failure the runtime may want to look at this process through /proc; it closes its end, or answers, when done. */
static void fail(const struct program *program, u32 index, u8 kind, s64 value)
{
	struct pollfd answers = {program->answers, POLL_IN, 0};
	s64 five_seconds[2] = {5, 0};
	report_send(program->reports, &report, kind, index, value);
	/* The kernel writes the time that is left into five_seconds. */
	while (syscall5(NR_ppoll, &answers, 1, five_seconds, 0, 8) == -E_INTR)
		;
	helper_exit(1);
}

static s64 retrying(s64 nr, const s64 *a)
{
	s64 result;
	int races = 0;
	do
		result = syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	while (result == -E_INTR || (nr == NR_openat2 && result == -E_AGAIN && ++races < RACES_MAX));
	return result;
}

/* What the filesystem itself says of a failed fsconfig or fsmount (fsopen(2): read from the context). */
static void read_context(u16 nr, s64 fd)
{
	if (nr != NR_fsconfig && nr != NR_fsmount)
		return;
	s64 got;
	/* One message for each read; the one that no longer fits is left. */
	while ((got = syscall3(NR_read, fd, report.detail + report.length, DETAIL_MAX - report.length)) > 0)
		report.length = (u16)(report.length + got);
}

static s64 check(const s64 *a)
{
	u64 found = 0;
	if (a[1] == CHECK_BYTE)
		return *(const u8 *)a[0] == a[2] ? 0 : -E_NODEV;
	if (a[1] == CHECK_FS || a[1] == CHECK_OTHER_FS) {
		s64 error = file_system(a[0], &found);
		return error ? error : (found == (u64)a[2]) == (a[1] == CHECK_FS) ? 0 : -E_NODEV;
	}
	s64 type = file_type(a[0], &found);
	return type < 0 ? type : type == a[2] && found == (u64)a[3] ? 0 : -E_NODEV;
}

/* execvp(3): the next candidate after ENOENT, ENOTDIR and EACCES, of which EACCES is the one to tell. */
static s64 execute(const s64 *candidate, const s64 *argv, const s64 *envp)
{
	s64 worst = -E_NOENT;
	for (; *candidate; candidate++) {
		s64 error = syscall3(NR_execve, *candidate, argv, envp);
		if (error == -E_ACCES)
			worst = error;
		else if (error != -E_NOENT && error != -E_NOTDIR)
			return error;
	}
	return worst;
}

static void synchronise(const struct program *program, u32 index, s64 point)
{
	char answer = 1;
	report_send(program->reports, &report, REPORT_SYNC, index, point);
	s64 a[6] = {program->answers, (s64)&answer, 1, 0, 0, 0};
	if (retrying(NR_read, a) != 1 || answer)
		helper_exit(1);
}

s64 shared_page(void)
{
	/* PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS */
	return syscall6(NR_mmap, 0, PAGE, 3, 0x21, -1, 0);
}

/* The child itself reports its pid, as its parent sees it, or its other reports could be read before this one. The kernel
 * writes it to the shared page before the child runs (CLONE_PARENT_SETTID, clone(2)). */
static s64 clone_child(const struct program *program, u32 index, const s64 *a)
{
	/* struct clone_args: flags, pidfd, child_tid, parent_tid */
	u64 *args = (u64 *)a[0];
	s64 page = shared_page();
	if (page < 0)
		return page;
	args[0] |= CLONE_PARENT_SETTID;
	args[3] = (u64)page;
	s64 pid = syscall3(NR_clone3, args, a[1], 0);
	if (pid > 0)
		helper_exit(0);
	if (pid == 0)
		report_send(program->reports, &report, REPORT_PID, index, *(const s32 *)page);
	syscall3(NR_munmap, page, PAGE, 0);
	return pid;
}

static s64 store(const s64 *a)
{
	if (a[1] == 4)
		*(s32 *)a[0] = (s32)a[2];
	else
		*(s64 *)a[0] = a[2];
	return 0;
}

static s64 perform(struct program *program, const struct instruction *op, u32 index, const s64 *a)
{
	switch ((enum op_code)op->code) {
	case OP_SYSCALL:
		return retrying(op->nr, a);
	case OP_STORE:
		return store(a);
	case OP_MKPATH:
		return mkpath(a[0], (const char *)a[1], a[2], a[3], a[4]);
	case OP_CHECK:
		return check(a);
	case OP_CLONE:
		return clone_child(program, index, a);
	case OP_SYNC:
		synchronise(program, index, a[0] | (s64)((u64)a[1] << 16) | (s64)((u64)a[2] << 32));
		return 0;
	case OP_HOOK:
		return hook_run((const char *)a[0], (const s64 *)a[1], (const s64 *)a[2], a[3], a[4], &report);
	case OP_EXEC:
		return execute((const s64 *)a[0], (const s64 *)a[1], (const s64 *)a[2]);
	case OP_CHANNEL:
		program->reports = (s32)a[0];
		program->answers = (s32)a[1];
		return 0;
	case OP_JUMP:
		return a[0];
	}
	return -E_INVAL;
}

static int accepted(const struct instruction *op, s64 result)
{
	for (int i = 0; i < 6; i++)
		if (op->accept[i] && result == -(s64)op->accept[i])
			return 1;
	return 0;
}

static s64 operand(const struct program *program, const struct instruction *op, int k)
{
	s64 value = op->operand[k];
	switch (op->kind[k]) {
	case BLOB:
		return value + (s64)program->blob;
	case REGISTER:
		return program->registers[value];
	case LOAD:
		return *(const u32 *)(program->blob + value);
	default:
		return value;
	}
}

void program_run(struct program *program)
{
	for (u32 i = 0; i < program->count; i++) {
		const struct instruction *op = &program->instructions[i];
		s64 a[6];
		for (int k = 0; k < 6; k++)
			a[k] = operand(program, op, k);
		s64 result = perform(program, op, i, a);
		if (op->code == OP_HOOK && result)
			fail(program, i, REPORT_HOOK, result);
		report.length = 0;
		int failed = result < 0 && result > -4096;
		if (failed && !accepted(op, result)) {
			read_context(op->code == OP_SYSCALL ? op->nr : 0, a[0]);
			fail(program, i, REPORT_ERROR, -result);
		}
		if (op->result != NO_REGISTER)
			program->registers[op->result] = result;
		i += failed ? op->skip_err : op->skip_ok;
	}
	helper_exit(0);
}
