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
		    (op->kind[i] == LOAD && value + 4 > head->blob) ||
		    (op->kind[i] == REGISTER && value >= head->registers))
			return 0;
	}
	return op->code != OP_STORE || (op->kind[0] == BLOB && (op->operand[1] == 4 || op->operand[1] == 8) &&
					(u64)op->operand[0] + (u64)op->operand[1] <= head->blob);
}

s64 program_check(const char *raw, u64 size, struct program *program)
{
	const struct header *head = (const struct header *)raw;
	if (size < sizeof(*head) || size > PROGRAM_MAX || head->magic != FORMAT_MAGIC || head->version != FORMAT_VERSION ||
	    head->zero || head->registers > REGISTERS_MAX)
		return -E_INVAL;
	u64 at_code = sizeof(*head) + 8ULL * head->registers;
	u64 at_relocations = at_code + sizeof(struct instruction) * (u64)head->instructions;
	u64 at_blob = at_relocations + 4ULL * head->relocations + 4ULL * (head->relocations & 1);
	if (!head->blob || at_blob + head->blob != size || raw[size - 1])
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
		u64 *pointer = (u64 *)(program->blob + relocation[i]);
		if ((u64)relocation[i] + 8 > head->blob || *pointer >= head->blob)
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
	s64 size = syscall3(NR_lseek, fd, 0, 2);
	if (fd < 0 || size <= 0)
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
