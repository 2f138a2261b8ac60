/* SPDX-License-Identifier: Apache-2.0 */
/* What a shell cannot tell from inside a container, as one JSON object: guest WORD... prints each asked for.
 *
 *   fds      open descriptors       winsize  rows and columns of stdin      rlimits  [soft, hard] by number
 *   env      the environment, in order       signals  blocked and ignored   session  pid, ppid, pgrp, sid, dumpable
 *   notify LINE...  sends the lines in one message to $NOTIFY_SOCKET; the exit status is the errno
 *   talk     what comes in goes through a TCP connection of its own and out again, until the input ends
 *   open:P   errno of open(P, O_RDWR)        mknod:P:c:MAJ:MIN  errno of mknod   call:NR  errno of a system call
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void text(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
	putchar('"');
}

static void fds(void)
{
	int first = 1;
	putchar('[');
	for (int fd = 0; fd < 1024; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		printf(first ? "%d" : ",%d", fd);
		first = 0;
	}
	putchar(']');
}

static void rlimits(void)
{
	struct rlimit limit;
	putchar('[');
	for (int i = 0; i < 16; i++) {
		getrlimit(i, &limit);
		printf("%s[%llu,%llu]", i ? "," : "", (unsigned long long)limit.rlim_cur,
		       (unsigned long long)limit.rlim_max);
	}
	putchar(']');
}

static void answer(char *word)
{
	struct winsize size = {0};
	char kind, path[256];
	unsigned major, minor;
	if (!strcmp(word, "fds")) {
		fds();
	} else if (!strcmp(word, "winsize")) {
		ioctl(0, TIOCGWINSZ, &size);
		printf("[%d,%d]", size.ws_row, size.ws_col);
	} else if (!strcmp(word, "rlimits")) {
		rlimits();
	} else if (!strcmp(word, "env")) {
		putchar('[');
		for (char **e = environ; *e; e++) {
			fputs(e == environ ? "" : ",", stdout);
			text(*e);
		}
		putchar(']');
	} else if (!strcmp(word, "session")) {
		printf("[%d,%d,%d,%d,%d]", getpid(), getppid(), getpgrp(), getsid(0), prctl(PR_GET_DUMPABLE));
	} else if (!strcmp(word, "umask")) {
		printf("%d", umask(0));
	} else if (!strcmp(word, "monotonic")) {
		struct timespec now;
		clock_gettime(CLOCK_MONOTONIC, &now);
		printf("%ld", (long)now.tv_sec);
	} else if (!strncmp(word, "open:", 5)) {
		printf("%d", open(word + 5, O_RDWR | O_NONBLOCK) < 0 ? errno : 0);
	} else if (sscanf(word, "mknod:%255[^:]:%c:%u:%u", path, &kind, &major, &minor) == 4) {
		int mode = (kind == 'b' ? S_IFBLK : S_IFCHR) | 0600;
		printf("%d", mknod(path, mode, makedev(major, minor)) < 0 ? errno : 0);
	} else if (!strncmp(word, "call:", 5)) {
		printf("%d", syscall(atol(word + 5), 0L, 0L, 0L, 0L, 0L, 0L) < 0 ? errno : 0);
	} else {
		exit(2);
	}
}

/* sd_notify(3) */
static int notify(int count, char **lines)
{
	static char message[65536];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (!path || fd < 0)
		return ENOENT;
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	for (int i = 0; i < count; i++) {
		strcat(message, lines[i]);
		strcat(message, "\n");
	}
	return sendto(fd, message, strlen(message), 0, (void *)&address, sizeof(address)) < 0 ? errno : 0;
}

/* Its calls all block, and are those that go on after an interruption: signal(7). */
static int talk(void)
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof here;
	char buffer[256];
	int listener = socket(AF_INET, SOCK_STREAM, 0), near = socket(AF_INET, SOCK_STREAM, 0), far;
	if (bind(listener, (struct sockaddr *)&here, size) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&here, &size) || connect(near, (struct sockaddr *)&here, size))
		return errno;
	far = accept(listener, NULL, NULL);
	close(listener);
	for (ssize_t got; (got = read(0, buffer, sizeof buffer)) > 0;) {
		if (write(near, buffer, got) != got || (got = read(far, buffer, sizeof buffer)) <= 0 ||
		    write(1, buffer, got) != got)
			return errno;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "talk"))
		return talk();
	if (argc > 1 && !strcmp(argv[1], "notify"))
		return notify(argc - 2, argv + 2);
	putchar('{');
	for (int i = 1; i < argc; i++) {
		fputs(i > 1 ? "," : "", stdout);
		text(argv[i]);
		putchar(':');
		answer(argv[i]);
		fflush(stdout);
	}
	puts("}");
	return 0;
}
