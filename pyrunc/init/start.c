/* SPDX-License-Identifier: Apache-2.0 */
/* The entry point, and the copying of bytes; memcpy and memset are for the compiler, which may call them on its own. */
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

/* The empty asm keeps the compiler from making a call of memcpy, or of memset, out of the loop that is it. */
void copy(char *to, const char *from, u64 size)
{
	for (u64 i = 0; i < size; i++) {
		to[i] = from[i];
		__asm__ volatile("");
	}
}

void *memcpy(void *to, const void *from, unsigned long size)
{
	copy(to, from, size);
	return to;
}

void *memset(void *to, int byte, unsigned long size)
{
	char *out = to;
	while (size--) {
		*out++ = (char)byte;
		__asm__ volatile("");
	}
	return to;
}
