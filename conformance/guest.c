/* SPDX-License-Identifier: Apache-2.0 */
/* What only a system call can tell from inside a container, as one JSON object: guest WORD... answers each word.
 *
 *   fds        open descriptors                    winsize    rows and columns of stdin
 *   sched      policy, flags, nice, priority, runtime, deadline, period of sched_getattr(2)
 *   clocks     seconds of CLOCK_MONOTONIC and CLOCK_BOOTTIME
 *   mempolicy  mode with flags, and the first nodes as a mask        ioprio     of ioprio_get(2)
 *   open:P     errno of open(P, O_RDWR)            openr:P, openw:P  with O_RDONLY, O_WRONLY
 *   mknod:P:c:MAJOR:MINOR   errno of mknod(2)      call:NR:A:B:C     errno of a system call with arguments
 *   call32:NR      errno of a system call of x86 without arguments, on x86_64
 *   rlimits    [soft, hard] of getrlimit(2) by number, or its errno
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static void fds(void)
{
	const char *comma = "";
	putchar('[');
	for (int fd = 0; fd < 1024; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		printf("%s%d", comma, fd);
		comma = ",";
	}
	putchar(']');
}

static void sched(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
		uint32_t min, max;
	} now = {0};
	syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0);
	printf("[%u,%llu,%d,%u,%llu,%llu,%llu]", now.policy, (unsigned long long)now.flags, now.nice, now.priority,
	       (unsigned long long)now.runtime, (unsigned long long)now.deadline, (unsigned long long)now.period);
}

static long seconds(clockid_t clock)
{
	struct timespec now = {0};
	clock_gettime(clock, &now);
	return now.tv_sec;
}

static void rlimits(void)
{
	struct rlimit limit;
	putchar('[');
	for (int i = 0; i < 16; i++) {
		if (getrlimit(i, &limit) < 0)
			printf("%s%d", i ? "," : "", errno);
		else
			printf("%s[%llu,%llu]", i ? "," : "", (unsigned long long)limit.rlim_cur,
			       (unsigned long long)limit.rlim_max);
	}
	putchar(']');
}

static int call(const char *word)
{
	unsigned long long v[7] = {0};
	for (int i = 0; i < 7 && *word; i++) {
		char *end;
		v[i] = strtoull(word, &end, 0);
		word = *end == ':' ? end + 1 : end;
	}
	return syscall((long)v[0], v[1], v[2], v[3], v[4], v[5], v[6]) < 0 ? errno : 0;
}

static int call32(int number)
{
#ifdef __x86_64__
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number) : "memory", "r8", "r9", "r10", "r11");
	return (int)result < 0 ? -(int)result : 0;
#else
	return number < 0 ? 0 : ENOSYS;
#endif
}

static int opened(const char *path, int flags)
{
	return open(path, flags | O_NONBLOCK) < 0 ? errno : 0;
}

static void answer(const char *word)
{
	struct winsize size = {0};
	unsigned long nodes[16] = {0};
	char kind, path[256];
	unsigned major, minor;
	int mode = -1;
	if (!strcmp(word, "fds")) {
		fds();
	} else if (!strcmp(word, "winsize")) {
		ioctl(0, TIOCGWINSZ, &size);
		printf("[%d,%d]", size.ws_row, size.ws_col);
	} else if (!strcmp(word, "sched")) {
		sched();
	} else if (!strcmp(word, "clocks")) {
		printf("[%ld,%ld]", seconds(CLOCK_MONOTONIC), seconds(CLOCK_BOOTTIME));
	} else if (!strcmp(word, "mempolicy")) {
		syscall(SYS_get_mempolicy, &mode, nodes, sizeof(nodes) * 8, 0L, 0L);
		printf("[%d,%lu]", mode, nodes[0]);
	} else if (!strcmp(word, "ioprio")) {
		printf("%ld", syscall(SYS_ioprio_get, 1, 0));
	} else if (!strcmp(word, "rlimits")) {
		rlimits();
	} else if (!strncmp(word, "open:", 5)) {
		printf("%d", opened(word + 5, O_RDWR));
	} else if (!strncmp(word, "openr:", 6)) {
		printf("%d", opened(word + 6, O_RDONLY));
	} else if (!strncmp(word, "openw:", 6)) {
		printf("%d", opened(word + 6, O_WRONLY));
	} else if (sscanf(word, "mknod:%255[^:]:%c:%u:%u", path, &kind, &major, &minor) == 4) {
		mode = (kind == 'b' ? S_IFBLK : S_IFCHR) | 0600;
		printf("%d", mknod(path, mode, makedev(major, minor)) < 0 ? errno : 0);
	} else if (!strncmp(word, "call32:", 7)) {
		printf("%d", call32(atoi(word + 7)));
	} else if (!strncmp(word, "call:", 5)) {
		printf("%d", call(word + 5));
	} else {
		exit(2);
	}
}

int main(int argc, char **argv)
{
	putchar('{');
	for (int i = 1; i < argc; i++) {
		printf("%s\"%s\":", i > 1 ? "," : "", argv[i]);
		answer(argv[i]);
		fflush(stdout);
	}
	puts("}");
	return 0;
}
