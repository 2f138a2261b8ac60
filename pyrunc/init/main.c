/* SPDX-License-Identifier: Apache-2.0 */
/* Maps the program, checks every number in it once, and runs it: the only argument is the program's descriptor. */
#include "program.h"

void helper_main(const s64 *stack);

void helper_exit(int status)
{
	for (;;)
		syscall3(NR_exit_group, status, 0, 0);
}

static int decimal(const char *text)
{
	int value = 0;
	if (!*text)
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || value > 100000)
			return -1;
		value = value * 10 + (*text - '0');
	}
	return value;
}

/* Whether operand k is the offset of `size` bytes of the blob, for what the helper itself reads or writes there. */
static int inside(const struct instruction *op, int k, u64 size, u64 align, const struct header *head)
{
	u64 value = (u64)op->operand[k];
	return op->kind[k] == BLOB && value < head->blob && head->blob - value >= size && value % align == 0;
}

/* A register cannot be checked before it is filled, so that what the helper looks at is never in one. */
static int sound(const struct instruction *op, const struct header *head)
{
	switch (op->code) {
	case OP_STORE:
		return op->kind[1] == IMMEDIATE && (op->operand[1] == 4 || op->operand[1] == 8) &&
		       inside(op, 0, (u64)op->operand[1], 4, head);
	case OP_MKPATH:
		return inside(op, 1, 1, 1, head);
	case OP_CHECK:
		return op->kind[1] == IMMEDIATE && (op->operand[1] != CHECK_BYTE || inside(op, 0, 1, 1, head));
	case OP_CLONE:
		return inside(op, 0, CLONE_ARGS_SIZE, 8, head);
	case OP_EXEC:
		return inside(op, 0, 8, 8, head);
	default:
		return 1;
	}
}

static int known(const struct instruction *op, u32 index, const struct header *head)
{
	if (op->code < OP_SYSCALL || op->code > OP_JUMP || op->zero || op->zero2)
		return 0;
	if (op->result != NO_REGISTER && op->result >= head->registers)
		return 0;
	if ((u64)index + 1 + op->skip_ok > head->instructions || (u64)index + 1 + op->skip_err > head->instructions)
		return 0;
	for (int i = 0; i < 6; i++) {
		u64 value = (u64)op->operand[i];
		if (op->kind[i] > LOAD || (op->kind[i] == BLOB && value >= head->blob) ||
		    (op->kind[i] == LOAD && (value % 4 || value >= head->blob)) ||
		    (op->kind[i] == REGISTER && value >= head->registers))
			return 0;
	}
	return sound(op, head);
}

s64 program_check(const char *raw, u64 size, struct program *program)
{
	const struct header *head = (const struct header *)raw;
	if (size < sizeof(*head) || size > PROGRAM_MAX || head->magic != FORMAT_MAGIC ||
	    head->version != FORMAT_VERSION || head->zero || head->registers > REGISTERS_MAX)
		return -E_INVAL;
	u64 at_code = sizeof(*head) + 8ULL * head->registers;
	u64 at_relocations = at_code + sizeof(struct instruction) * (u64)head->instructions;
	u64 at_blob = at_relocations + 4ULL * head->relocations + 4ULL * (head->relocations & 1);
	/* The blob ends with a word of zeros: every string and every array of pointers in it has an end. */
	if (!head->blob || head->blob % 8 || at_blob + head->blob != size || *(const u64 *)(raw + size - 8))
		return -E_INVAL;
	program->registers = (s64 *)(raw + sizeof(*head));
	program->instructions = (const struct instruction *)(raw + at_code);
	program->blob = (char *)raw + at_blob;
	program->count = head->instructions;
	program->reports = head->reports;
	program->answers = head->answers;
	for (u32 i = 0; i < head->instructions; i++)
		if (!known(&program->instructions[i], i, head))
			return -E_INVAL;
	const u32 *relocation = (const u32 *)(raw + at_relocations);
	for (u32 i = 0; i < head->relocations; i++) {
		/* The last word stays zero: it is the end of every array. */
		if (relocation[i] % 8 || (u64)relocation[i] + 16 > head->blob)
			return -E_INVAL;
		u64 *pointer = (u64 *)(program->blob + relocation[i]);
		if (*pointer >= head->blob)
			return -E_INVAL;
		*pointer += (u64)program->blob;
	}
	return 0;
}

void helper_main(const s64 *stack)
{
	struct program program;
	const char *const *argv = (const char *const *)(stack + 1);
	int fd = stack[0] == 2 ? decimal(argv[1]) : -1;
	s64 size = fd < 0 ? 0 : syscall3(NR_lseek, fd, 0, 2);
	if (size <= 0 || size > PROGRAM_MAX)
		helper_exit(2);
	/* MAP_PRIVATE, PROT_READ | PROT_WRITE: relocations and registers are written to our own copy of the pages. */
	s64 raw = syscall6(NR_mmap, 0, size, 3, 2, fd, 0);
	syscall3(NR_close, fd, 0, 0);
	if (raw < 0 && raw > -4096)
		helper_exit(2);
	if (program_check((const char *)raw, (u64)size, &program))
		helper_exit(2);
	program_run(&program);
}
