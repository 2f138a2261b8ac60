/* SPDX-License-Identifier: Apache-2.0 */
/* The entry point, and the two functions that a compiler may call on its own. */
#include "program.h"

void helper_main(const s64 *stack);

#if defined(__x86_64__)
__asm__(".globl _start\n"
	"_start:\n"
	"\txor %ebp, %ebp\n"
	"\tmov %rsp, %rdi\n"
	"\tand $-16, %rsp\n"
	"\tcall helper_main\n"
	"\thlt\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n"
	"_start:\n"
	"\tmov x29, #0\n"
	"\tmov x30, #0\n"
	"\tmov x0, sp\n"
	"\tb helper_main\n");
#endif

void *memcpy(void *to, const void *from, unsigned long size);
void *memset(void *to, int byte, unsigned long size);

void *memcpy(void *to, const void *from, unsigned long size)
{
	char *out = to;
	const char *in = from;
	while (size--)
		*out++ = *in++;
	return to;
}

void *memset(void *to, int byte, unsigned long size)
{
	char *out = to;
	while (size--)
		*out++ = (char)byte;
	return to;
}
