// SPDX-License-Identifier: Apache-2.0
// malloc(3) of dist/pyrunc: a heap at a fixed address, so that its content can be a part of the program (snapshot.c).
//
// Free pieces of a size wait in a list for the next of that size; nothing goes back to the kernel, as a call is over
// soon, and one that stays (`run`) uses the same sizes again. "Replacing malloc" of the C library's manual has the names.
#define _GNU_SOURCE
#include "snapshot.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGEST (1UL << 40)
#define HEAD 16 // in front of each piece: which list it belongs to; all pieces are aligned to it

struct piece {
	size_t list;
	struct piece *next;
};

volatile uintptr_t heap_next = HEAP_BASE, heap_top = HEAP_BASE;
static struct piece *lists[256];
static atomic_flag lock = ATOMIC_FLAG_INIT;

// What the C library keeps from before main: little, but as much as LD_LIBRARY_PATH makes it
OUTSIDE static char early[1 << 14];
OUTSIDE static volatile size_t early_used = 0;
OUTSIDE static volatile int is_open = 0;

void heap_open(void)
{
	is_open = 1;
}

// Lists 1 to 64 are of pieces of 16 to 1024 bytes, then there are four for each power of two.
static size_t list_of(size_t size)
{
	if (size <= 1024)
		return size ? (size + 15) / 16 : 1;
	int shift = 63 - __builtin_clzl(size - 1);
	return 65 + (size_t)(shift - 10) * 4 + ((size - 1 - (1UL << shift)) >> (shift - 2));
}

static size_t room_of(size_t list)
{
	if (list <= 64)
		return list * 16;
	return (1UL << ((list - 65) / 4 + 10)) + ((list - 65) % 4 + 1) * (1UL << ((list - 65) / 4 + 8));
}

int heap_map(uintptr_t place, size_t size)
{
	void *wanted = (void *)place;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	if (mmap(wanted, size, PROT_READ | PROT_WRITE, flags, -1, 0) != wanted)
		return -1;
	madvise(wanted, size, MADV_HUGEPAGE);
	return 0;
}

static struct piece *new_piece(size_t room)
{
	uintptr_t place = heap_next, end = place + HEAD + room;
	if (end > heap_top) {
		size_t more = (end - heap_top + HUGE - 1) & ~(HUGE - 1);
		if (heap_map(heap_top, more) < 0)
			return NULL;
		heap_top += more;
	}
	heap_next = end;
	return (struct piece *)place;
}

static struct piece *early_piece(size_t room)
{
	if (room + HEAD > sizeof early - early_used) {
		int flags = MAP_PRIVATE | MAP_ANONYMOUS;
		void *piece = mmap(NULL, room + HEAD, PROT_READ | PROT_WRITE, flags, -1, 0);
		return piece == MAP_FAILED ? NULL : piece;
	}
	early_used += room + HEAD;
	return (struct piece *)(early + early_used - room - HEAD);
}

void *malloc(size_t size)
{
	size_t list = size <= LARGEST ? list_of(size) : 0;
	struct piece *piece = NULL;
	while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire))
		;
	if (list && !is_open) {
		piece = early_piece(room_of(list));
	} else if (list && lists[list]) {
		piece = lists[list];
		lists[list] = piece->next;
	} else if (list) {
		piece = new_piece(room_of(list));
	}
	atomic_flag_clear_explicit(&lock, memory_order_release);
	if (!piece) {
		errno = ENOMEM;
		return NULL;
	}
	piece->list = list;
	return (char *)piece + HEAD;
}

void free(void *memory)
{
	struct piece *piece = (struct piece *)((char *)memory - HEAD);
	if ((uintptr_t)memory < HEAP_BASE || (uintptr_t)memory >= heap_next || !piece->list)
		return;
	while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire))
		;
	piece->next = lists[piece->list];
	lists[piece->list] = piece;
	atomic_flag_clear_explicit(&lock, memory_order_release);
}

void *calloc(size_t count, size_t size)
{
	size_t all;
	if (__builtin_mul_overflow(count, size, &all))
		all = LARGEST + 1;
	void *memory = malloc(all);
	return memory ? memset(memory, 0, all) : NULL;
}

void *realloc(void *memory, size_t size)
{
	if (!memory)
		return malloc(size);
	size_t list = ((struct piece *)((char *)memory - HEAD))->list, room = room_of(list);
	if (size <= room)
		return memory;
	void *other = malloc(list ? size : LARGEST + 1);
	if (other) {
		memcpy(other, memory, room);
		free(memory);
	}
	return other;
}

// The head before an address in the middle of a piece says list 0: such a one is not used again. Nobody here asks often.
void *aligned_alloc(size_t alignment, size_t size)
{
	char *memory = size <= LARGEST && alignment <= HUGE ? malloc(size + alignment) : NULL;
	if (!memory || ((uintptr_t)memory & (alignment - 1)) == 0)
		return memory;
	memory = (char *)(((uintptr_t)memory + alignment - 1) & ~(alignment - 1));
	((struct piece *)(memory - HEAD))->list = 0;
	return memory;
}

void *memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size)
{
	return aligned_alloc(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
	*memory = aligned_alloc(alignment, size);
	return *memory ? 0 : ENOMEM;
}
