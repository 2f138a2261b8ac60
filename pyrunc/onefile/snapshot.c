// SPDX-License-Identifier: Apache-2.0
// The state of Python after its start and the import of pyrunc, as a part of dist/pyrunc.
//
//   built first:  program -> starts Python, imports all of pyrunc, writes its own memory to a file
//   then:         program + that file = dist/pyrunc, which maps it where it was: 1 ms in place of 10
//
// It is possible as nothing of that memory points to what moves: the program is linked at a fixed address, the heap
// (heap.c) has one, too, and neither stack, thread nor open file of the build is needed. What belongs to the process is
// made anew: the identity of the thread here, environment, signals and argv in entry.c. The C library keeps its own
// state. The pages are private: what a call writes is copied by the kernel, and never gets to the file.
#define _GNU_SOURCE
#define Py_BUILD_CORE
#include "snapshot.h"
#include <Python.h>
#include <fcntl.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RUNS 128
#define GAP 32 // empty pages that are worth a mapping of their own behind them

extern char snapshot_data_begin[], snapshot_data_end[], snapshot_bss_begin[], snapshot_bss_end[];
extern char snapshot_runtime_begin[], snapshot_runtime_end[];

struct run {
	uintptr_t address;
	uint64_t size;
	uint64_t offset; // from the first byte of the snapshot
};

struct head {
	uint64_t heap_top;
	uint64_t count;
	struct run runs[RUNS];
};

// Between the two marks ("snapshot", "is there") build.py writes its place in the file; 0: there is none.
OUTSIDE static volatile uint64_t snapshot_place[3] = {0x746f687370616e73UL, 0, 0x6572656874207369UL};

int snapshot_is_here(void)
{
	return snapshot_place[1] != 0;
}

static void leave(const char *what)
{
	dprintf(2, "pyrunc: internal error: cannot map the state of the program from /proc/self/exe: %s: %m\n", what);
	_exit(1);
}

static int read_head(struct head *head)
{
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (file < 0 || pread(file, head, sizeof *head, (off_t)snapshot_place[1]) != sizeof *head)
		leave("its head");
	return file;
}

// Whether there is one huge page at this place of the heap now. One costs less than 60 small ones that are copied when
// they are written to, and a call writes to hundreds, as references are counted.
static int get_huge(uintptr_t place)
{
	unsigned char there = 0;
	*(volatile char *)place = 0;
	return mincore((void *)(place + HUGE - SNAPSHOT_PAGE), SNAPSHOT_PAGE, &there) == 0 && there & 1;
}

static void fill_run(struct run *run, int file, int by_reading)
{
	off_t offset = (off_t)(snapshot_place[1] + run->offset);
	void *place = (void *)run->address;
	int both = PROT_READ | PROT_WRITE, fixed = MAP_PRIVATE | MAP_FIXED;
	if (by_reading ? pread(file, place, run->size, offset) != (ssize_t)run->size :
			 mmap(place, run->size, both, fixed, file, offset) == MAP_FAILED)
		leave("a part");
}

void snapshot_restore(void)
{
	struct head head;
	int file = read_head(&head), huge = 1;
	uintptr_t seen = 0;
	if (heap_map(HEAP_BASE, head.heap_top - HEAP_BASE) < 0)
		leave("the heap");
	for (uint64_t index = 0; index < head.count; index++) {
		struct run *run = &head.runs[index];
		uintptr_t page = run->address & ~(HUGE - 1);
		if (run->address >= HEAP_BASE && page != seen && huge)
			huge = get_huge(seen = page);
		fill_run(run, file, run->address >= HEAP_BASE && huge);
	}
	close(file);
	PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Main());
	thread->thread_id = _PyRuntime.main_thread = PyThread_get_thread_ident();
	thread->native_thread_id = PyThread_get_thread_native_id();
	Py_tss_t *key = &_PyRuntime.gilstate.autoTSSkey;
	key->_is_initialized = 0;
	if (PyThread_tss_create(key) != 0 || PyThread_tss_set(key, thread) != 0)
		leave("the thread");
}

static int is_empty(uintptr_t page)
{
	static const char empty[SNAPSHOT_PAGE];
	return memcmp((const void *)page, empty, SNAPSHOT_PAGE) == 0;
}

// All of [begin, end) that is not empty; of initialised data the empty pages, too, as the program's own are not.
static int write_part(int file, struct head *head, uintptr_t begin, uintptr_t end, int whole)
{
	while (begin < end) {
		if (!whole && is_empty(begin)) {
			begin += SNAPSHOT_PAGE;
			continue;
		}
		uintptr_t stop = begin, last = begin;
		for (; stop < end && stop - last <= GAP * SNAPSHOT_PAGE; stop += SNAPSHOT_PAGE) {
			if (!whole && stop > begin && stop % HUGE == 0)
				break;
			if (whole || !is_empty(stop))
				last = stop;
		}
		if (head->count == RUNS)
			return -1;
		struct run *run = &head->runs[head->count++];
		*run = (struct run){begin, last + SNAPSHOT_PAGE - begin, (uint64_t)lseek(file, 0, SEEK_END)};
		if (write(file, (void *)begin, run->size) != (ssize_t)run->size)
			return -1;
		begin = last + SNAPSHOT_PAGE;
	}
	return 0;
}

int snapshot_write(int file)
{
	// On the stack, and the last that is written: what it counts does not change while it is counted.
	struct head head = {heap_top, 0, {{0, 0, 0}}};
	char room[sizeof head / SNAPSHOT_PAGE + 1][SNAPSHOT_PAGE];
	memset(room, 0, sizeof room);
	PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Main());
	thread->thread_id = thread->native_thread_id = _PyRuntime.main_thread = 0;
	uintptr_t next = (heap_next + SNAPSHOT_PAGE - 1) & ~(SNAPSHOT_PAGE - 1);
	if (write(file, room, sizeof room) != sizeof room ||
	    write_part(file, &head, (uintptr_t)snapshot_data_begin, (uintptr_t)snapshot_data_end, 1) ||
	    write_part(file, &head, (uintptr_t)snapshot_runtime_begin, (uintptr_t)snapshot_runtime_end, 1) ||
	    write_part(file, &head, (uintptr_t)snapshot_bss_begin, (uintptr_t)snapshot_bss_end, 0) ||
	    write_part(file, &head, HEAP_BASE, next, 0))
		return -1;
	return pwrite(file, &head, sizeof head, 0) == sizeof head ? 0 : -1;
}
