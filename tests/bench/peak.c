// SPDX-License-Identifier: Apache-2.0
// Prints the KiB of resident memory that a command had at most. A small program, as a child counts what its parent had.
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv)
{
	struct rusage usage;
	pid_t pid;
	int status;
	if (argc < 2 || posix_spawn(&pid, argv[1], NULL, NULL, argv + 1, environ) ||
	    wait4(pid, &status, 0, &usage) != pid)
		return 127;
	fprintf(stderr, "\n%ld\n", usage.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
