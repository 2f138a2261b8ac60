/* SPDX-License-Identifier: Apache-2.0 */
/* Paths beneath the container's root: every look-up is an openat2 that cannot leave it (CVE-2021-30465, CVE-2024-45310). */
#include "program.h"

enum { S_IFMT = 0170000, S_IFDIR = 0040000, S_IFREG = 0100000, SYMLINKS_MAX = 40 };

s64 file_type(s64 fd, u64 *rdev)
{
	/* struct stat: st_mode is at 24 on x86_64 and at 16 on aarch64, st_rdev at 40 and at 32 */
	u64 stat[18];
	s64 error = syscall3(NR_fstat, fd, stat, 0);
	if (error < 0)
		return error;
#if defined(__x86_64__)
	*rdev = stat[5];
	return (u32)stat[3] & S_IFMT;
#else
	*rdev = stat[4];
	return (u32)stat[2] & S_IFMT;
#endif
}

s64 file_system(s64 fd, u64 *magic)
{
	u64 statfs[15];
	s64 error = syscall3(NR_fstatfs, fd, statfs, 0);
	*magic = statfs[0];
	return error;
}

s64 open_beneath(s64 root, const char *path, u64 resolve)
{
	struct open_how how = {O_PATH_CLOEXEC, 0, resolve | RESOLVE_NO_MAGICLINKS};
	s64 fd = -E_AGAIN;
	for (int i = 0; i < RACES_MAX && fd == -E_AGAIN; i++)
		fd = syscall4(NR_openat2, root, path, &how, sizeof(how));
	return fd;
}

static u32 length(const char *text)
{
	u32 size = 0;
	while (text[size])
		size++;
	return size;
}

/* path := path up to `start` (or nothing, for an absolute target) + target + path from `end` */
static s64 splice(char *path, u32 start, u32 end, const char *target, u32 size)
{
	static char rest[PATH_SIZE];
	u32 left = length(path + end);
	u32 head = *target == '/' ? 0 : start;
	if (head + size + left + 1 > PATH_SIZE)
		return -E_NAMETOOLONG;
	copy(rest, path + end, left + 1);
	copy(path + head, target, size);
	copy(path + head + size, rest, left + 1);
	return 0;
}

/* One missing component: made in `parent`, or -EEXIST with the path respliced if it is a symlink to nowhere. */
static s64 make(s64 parent, char *path, u32 start, u32 end, s64 is_file, s64 mode)
{
	static char target[PATH_SIZE];
	char *name = path + start;
	char after = path[end];
	s64 made;
	path[end] = 0;
	if (is_file)
		made = syscall4(NR_mknodat, parent, name, S_IFREG | 0644, 0);
	else
		made = syscall3(NR_mkdirat, parent, name, mode);
	s64 size = made == -E_EXIST ? syscall4(NR_readlinkat, parent, name, target, PATH_SIZE) : 0;
	s64 fd = made == 0 ? open_beneath(parent, name, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS) : made;
	path[end] = after;
	if (size > 0) {
		s64 error = splice(path, start, end, target, (u32)size);
		return error ? error : -E_EXIST;
	}
	return fd;
}

/* Walks to the first missing component and makes what is missing from there; -EEXIST asks for another try. */
static s64 walk(s64 root, char *path, s64 is_file, s64 mode)
{
	s64 parent = root;
	for (u32 start = 0, end; path[start]; start = end) {
		while (path[start] == '/')
			start++;
		for (end = start; path[end] && path[end] != '/'; end++)
			;
		if (end == start)
			break;
		u32 next = end;
		while (path[next] == '/')
			next++;
		char after = path[end];
		path[end] = 0;
		s64 fd = open_beneath(root, path, RESOLVE_IN_ROOT);
		path[end] = after;
		if (fd == -E_NOENT)
			fd = make(parent, path, start, end, is_file && !path[next], mode);
		if (parent != root)
			syscall3(NR_close, parent, 0, 0);
		if (fd < 0)
			return fd;
		parent = fd;
	}
	return parent == root ? -E_NOENT : parent;
}

s64 mkpath(s64 root, const char *path, s64 kind, s64 mode, s64 like)
{
	static char work[PATH_SIZE];
	u64 rdev;
	u32 size = length(path);
	if (size >= PATH_SIZE)
		return -E_NAMETOOLONG;
	if (kind == KIND_LIKE) {
		s64 type = file_type(like, &rdev);
		if (type < 0)
			return type;
		kind = type == S_IFDIR ? KIND_DIRECTORY : KIND_FILE;
	}
	copy(work, path, size + 1);
	for (int i = 0; i < SYMLINKS_MAX; i++) {
		s64 fd = open_beneath(root, work, RESOLVE_IN_ROOT);
		if (fd == -E_NOENT)
			fd = walk(root, work, kind == KIND_FILE, mode);
		if (fd != -E_EXIST)
			return fd;
	}
	return -E_LOOP;
}
