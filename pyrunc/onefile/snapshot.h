// SPDX-License-Identifier: Apache-2.0
// What the parts of dist/pyrunc know of each other: entry.c, modules.c, snapshot.c, heap.c
#ifndef ONEFILE_SNAPSHOT_H
#define ONEFILE_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

// Largest page of the machines that it is built for: what is mapped begins and ends at a multiple of it.
#ifdef __aarch64__
#define SNAPSHOT_PAGE 65536UL
#else
#define SNAPSHOT_PAGE 4096UL
#endif

// Far above a program at a fixed address and its break, far below where the kernel puts stacks and mappings.
#define HEAP_BASE 0x200000000UL

#define HUGE (2UL << 20)

// All of the heap that was ever handed out lies in [HEAP_BASE, heap_next), mapped is [HEAP_BASE, heap_top).
extern volatile uintptr_t heap_next, heap_top;

// A section that no snapshot covers: what is of this process, and of this file.
#define OUTSIDE __attribute__((section(".outside"), aligned(16)))

// Attributes of modules as those of ordinary objects (modules.c)
void module_attributes_quick(void);

// Until it is called, the C library's own start is served from a small room that belongs to no snapshot.
void heap_open(void);

// Memory for the heap at a multiple of HUGE, in huge pages where the kernel has them; 0 or -1.
int heap_map(uintptr_t place, size_t size);

// Whether this program has a snapshot in it: what is built first has none, and writes it.
int snapshot_is_here(void);

// In place of the start of Python: the state that the build left. Ends the process with a line where that fails.
void snapshot_restore(void);

// The state of Python to this file; 0, or -1 with errno.
int snapshot_write(int file);

#endif
