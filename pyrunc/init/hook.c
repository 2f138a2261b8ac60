/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one OCI hook where the program now is (config.md#posix-platform-hooks): state on stdin, a deadline, its last output. */
#include "program.h"

enum { F_SETFL = 4, NONBLOCK = 04000, CLOEXEC = 02000000, CLONE_PIDFD = 0x1000 };
enum { SIG_KILL = 9, SIG_CHLD = 17 };
enum { P_PIDFD = 3, W_EXITED = 4, CLD_EXITED = 1, SYSTEM_ERROR = -2000 };

static s64 now(void)
{
	s64 time[2] = {0, 0};
	syscall3(NR_clock_gettime, 1, time, 0);
	return time[0] * 1000 + time[1] / 1000000;
}

/* Reads what is there and keeps the last DETAIL_MAX bytes; 0 at the end of the output. */
static int drain(s64 fd, struct report *report)
{
	char buffer[512];
	s64 got = syscall3(NR_read, fd, buffer, sizeof(buffer));
	if (got <= 0)
		return got == -E_AGAIN || got == -E_INTR;
	u32 drop = report->length + (u32)got > DETAIL_MAX ? report->length + (u32)got - DETAIL_MAX : 0;
	copy(report->detail, report->detail + drop, report->length - drop);
	copy(report->detail + report->length - drop, buffer, (u64)got);
	report->length = (u16)(report->length - drop + (u32)got);
	return 1;
}

static void child(const char *path, const s64 *argv, const s64 *envp, s64 input, s64 output, s64 *error)
{
	syscall3(NR_setsid, 0, 0, 0);
	syscall3(NR_lseek, input, 0, 0);
	syscall3(NR_dup3, input, 0, 0);
	syscall3(NR_dup3, output, 1, 0);
	syscall3(NR_dup3, output, 2, 0);
	syscall3(NR_close_range, 3, ~0U, 0);
	*error = syscall3(NR_execve, path, argv, envp);
	helper_exit(127);
}

/* Until the hook ends, or its deadline: 0, or -1 at the deadline. The output may outlive the hook, so that it is not waited for. */
static int await(s64 pidfd, s64 output, s64 milliseconds, struct report *report)
{
	s64 deadline = now() + milliseconds;
	struct pollfd fds[2] = {{(s32)pidfd, POLL_IN, 0}, {(s32)output, POLL_IN, 0}};
	for (;;) {
		s64 left = deadline - now();
		s64 timeout[2] = {left / 1000, left % 1000 * 1000000};
		if (milliseconds && left <= 0)
			return -1;
		fds[0].revents = fds[1].revents = 0;
		syscall5(NR_ppoll, fds, 2, milliseconds ? timeout : 0, 0, 8);
		if (fds[1].revents && !drain(output, report))
			fds[1].fd = -1;
		if (fds[0].revents)
			return 0;
	}
}

/* A wait status, or SYSTEM_ERROR - errno: an end that is not known is no success. */
static s64 reap(s64 pidfd)
{
	/* siginfo_t: si_code is at 8, si_status at 24 */
	s32 info[32] = {0};
	s64 result;
	do
		result = syscall5(NR_waitid, P_PIDFD, pidfd, info, W_EXITED, 0);
	while (result == -E_INTR);
	if (result < 0)
		return SYSTEM_ERROR + result;
	return info[2] == CLD_EXITED ? info[6] << 8 : info[6];
}

s64 hook_run(const char *path, const s64 *argv, const s64 *envp, s64 input, s64 milliseconds, struct report *report)
{
	s32 pipe[2], pidfd = -1;
	/* struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls */
	u64 args[8] = {CLONE_PIDFD, (u64)&pidfd, 0, 0, SIG_CHLD, 0, 0, 0};
	/* through this page the child tells why execve failed */
	s64 page = shared_page();
	s64 result = page < 0 ? page : syscall3(NR_pipe2, pipe, CLOEXEC, 0);
	if (result < 0)
		return SYSTEM_ERROR + result;
	/* Only this end: the hook must not find its output full. */
	syscall3(NR_fcntl, pipe[0], F_SETFL, NONBLOCK);
	report->length = 0;
	s64 pid = syscall3(NR_clone3, args, sizeof(args), 0);
	if (pid < 0)
		return SYSTEM_ERROR + pid;
	if (pid == 0)
		child(path, argv, envp, input, pipe[1], (s64 *)page);
	syscall3(NR_close, pipe[1], 0, 0);
	int late = await(pidfd, pipe[0], milliseconds, report);
	if (late) {
		/* Its group, and itself, which may have left the group. */
		syscall3(NR_kill, -pid, SIG_KILL, 0);
		syscall3(NR_kill, pid, SIG_KILL, 0);
	}
	s64 fate = reap(pidfd);
	for (int i = 0; i < 64 && drain(pipe[0], report) && !late; i++)
		;
	s64 error = *(s64 *)page;
	syscall3(NR_close, pidfd, 0, 0);
	syscall3(NR_close, pipe[0], 0, 0);
	syscall3(NR_munmap, page, PAGE, 0);
	if (late)
		return HOOK_TIMED_OUT;
	return error ? HOOK_NOT_EXECUTED + error : fate;
}
