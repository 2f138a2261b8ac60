/* SPDX-License-Identifier: Apache-2.0 */
/* The system call instruction and the numbers that the helper itself needs; nothing else depends on the machine. */
#ifndef PYRUNC_SYSCALL_H
#define PYRUNC_SYSCALL_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;

#if defined(__x86_64__)

enum nr {
	NR_read = 0,
	NR_write = 1,
	NR_close = 3,
	NR_lseek = 8,
	NR_mmap = 9,
	NR_munmap = 11,
	NR_exit_group = 231,
	NR_execve = 59,
	NR_kill = 62,
	NR_fstat = 5,
	NR_fstatfs = 138,
	NR_setsid = 112,
	NR_dup3 = 292,
	NR_pipe2 = 293,
	NR_fcntl = 72,
	NR_ppoll = 271,
	NR_waitid = 247,
	NR_clock_gettime = 228,
	NR_mkdirat = 258,
	NR_mknodat = 259,
	NR_readlinkat = 267,
	NR_clone3 = 435,
	NR_close_range = 436,
	NR_openat2 = 437,
	NR_fsconfig = 431,
	NR_fsmount = 432,
};

static inline s64 syscall6(s64 nr, s64 a, s64 b, s64 c, s64 d, s64 e, s64 f)
{
	register s64 r10 __asm__("r10") = d;
	register s64 r8 __asm__("r8") = e;
	register s64 r9 __asm__("r9") = f;
	s64 result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#elif defined(__aarch64__)

enum nr {
	NR_read = 63,
	NR_write = 64,
	NR_close = 57,
	NR_lseek = 62,
	NR_mmap = 222,
	NR_munmap = 215,
	NR_exit_group = 94,
	NR_execve = 221,
	NR_kill = 129,
	NR_fstat = 80,
	NR_fstatfs = 44,
	NR_setsid = 157,
	NR_dup3 = 24,
	NR_pipe2 = 59,
	NR_fcntl = 25,
	NR_ppoll = 73,
	NR_waitid = 95,
	NR_clock_gettime = 113,
	NR_mkdirat = 34,
	NR_mknodat = 33,
	NR_readlinkat = 78,
	NR_clone3 = 435,
	NR_close_range = 436,
	NR_openat2 = 437,
	NR_fsconfig = 431,
	NR_fsmount = 432,
};

static inline s64 syscall6(s64 nr, s64 a, s64 b, s64 c, s64 d, s64 e, s64 f)
{
	register s64 x8 __asm__("x8") = nr;
	register s64 x0 __asm__("x0") = a;
	register s64 x1 __asm__("x1") = b;
	register s64 x2 __asm__("x2") = c;
	register s64 x3 __asm__("x3") = d;
	register s64 x4 __asm__("x4") = e;
	register s64 x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

#else
#error "pyrunc-init knows x86_64 and aarch64"
#endif

#define syscall3(nr, a, b, c) syscall6(nr, (s64)(a), (s64)(b), (s64)(c), 0, 0, 0)
#define syscall4(nr, a, b, c, d) syscall6(nr, (s64)(a), (s64)(b), (s64)(c), (s64)(d), 0, 0)
#define syscall5(nr, a, b, c, d, e) syscall6(nr, (s64)(a), (s64)(b), (s64)(c), (s64)(d), (s64)(e), 0)

#endif
