// SPDX-License-Identifier: Apache-2.0
// The entry of dist/pyrunc: the CPython that is linked into it, started and with pyrunc imported when it was built
// (snapshot.c), gets the environment and the argv of this process and runs start.py.
//
// Why C: a program that has its interpreter inside must call it. Nothing of a container is decided or done here.
// The interpreter is isolated (python -I -S -B -X utf8): no variable of the environment, no file of the host and no
// directory is looked at. It stops after the core phase of its initialisation (PEP 587): no path finder, no codecs
// from files, no standard streams, as a call that succeeds uses none of them. complete() does the rest on demand.
#define _GNU_SOURCE
#include "snapshot.h"
#include <Python.h>
#include <unistd.h>

extern const struct _frozen onefile_frozen[];

// Not in a public header, and part of the main phase only: SIGINT raises KeyboardInterrupt, SIGPIPE is an error of
// write(2). Without handlers it makes the constants of the module alone.
extern int _PySignal_Init(int install_signal_handlers);

static void leave(const char *cause)
{
	dprintf(2, "pyrunc: internal error: Python does not start: %s\n", cause ? cause : "unknown");
	_exit(1);
}

static void check(PyStatus status)
{
	if (PyStatus_Exception(status))
		leave(status.err_msg);
}

static void *get_arena(void *unused, size_t size)
{
	(void)unused;
	return malloc(size);
}

static void put_arena(void *unused, void *memory, size_t size)
{
	(void)unused;
	(void)size;
	free(memory);
}

static void start(void)
{
	PyPreConfig before;
	PyPreConfig_InitIsolatedConfig(&before);
	before.utf8_mode = 1;
	check(Py_PreInitialize(&before));

	PyConfig config;
	PyConfig_InitIsolatedConfig(&config);
	config._init_main = 0;
	config.parse_argv = 0;
	config.site_import = 0;
	config.write_bytecode = 0;
	config.pathconfig_warnings = 0;
	config.install_signal_handlers = 1;
	// The hashes of strings are in the snapshot, so that a seed is one for all calls; equal sources give equal bytes.
	config.use_hash_seed = 1;
	config.hash_seed = 1;
	// With all of them given nothing is searched for.
	wchar_t *self = L"/proc/self/exe";
	config.program_name = self;
	wchar_t **places[] = {&config.executable, &config.base_executable, &config.home,
			      &config.prefix,	  &config.base_prefix,	   &config.exec_prefix,
			      &config.stdlib_dir, &config.base_exec_prefix};
	for (size_t index = 0; index < sizeof places / sizeof *places; index++)
		*places[index] = self;
	config.module_search_paths_set = 1;
	check(PyWideStringList_Append(&config.module_search_paths, self));
	check(Py_InitializeFromConfig(&config));
}

// What is built first: all that no call has to do again, written to standard output.
static int prepare(void)
{
	PyObjectArenaAllocator arenas = {NULL, get_arena, put_arena};
	PyObject_SetArenaAllocator(&arenas);
	PyImport_FrozenModules = onefile_frozen;
	start();
	module_attributes_quick();
	if (_PySignal_Init(0) < 0 || PyImport_ImportFrozenModule("_onefile_start") != 1) {
		PyErr_Print();
		leave("pyrunc cannot be imported");
	}
	return snapshot_write(1) < 0;
}

// posix.environ, which modules of pyrunc have by its name
static int take_environment(void)
{
	PyObject *posix = PyImport_ImportModule("posix"),
		 *all = posix ? PyObject_GetAttrString(posix, "environ") : NULL;
	if (!all)
		return -1;
	PyDict_Clear(all);
	for (char **row = environ; *row; row++) {
		const char *sign = strchr(*row, '=');
		PyObject *name = sign ? PyBytes_FromStringAndSize(*row, sign - *row) : NULL;
		PyObject *value = sign ? PyBytes_FromString(sign + 1) : NULL;
		if (sign && (!name || !value || !PyDict_SetDefault(all, name, value)))
			return -1;
	}
	return 0;
}

// What is ignored and what is not, which Python asks the kernel for when it makes the module. It goes to a table in C, so
// that it is right for those, too, who have the module that was made before.
static int take_signals(void)
{
	PyObject *all = PyImport_GetModuleDict(), *before = PyDict_GetItemString(all, "_signal");
	Py_XINCREF(before);
	if (before && PyDict_DelItemString(all, "_signal") < 0)
		return -1;
	if (_PySignal_Init(1) < 0)
		return -1;
	return before ? PyDict_SetItemString(all, "_signal", before) : 0;
}

static int take_words(int argc, char **argv)
{
	PyObject *words = PyList_New(0);
	for (int index = 0; words && index < argc; index++) {
		PyObject *word = PyUnicode_DecodeFSDefault(argv[index]);
		if (!word || PyList_Append(words, word) < 0)
			return -1;
	}
	return words ? PySys_SetObject("argv", words) : -1;
}

int main(int argc, char **argv)
{
	heap_open();
	if (!snapshot_is_here())
		return prepare();
	snapshot_restore();
	if (take_environment() == 0 && take_signals() == 0 && take_words(argc, argv) == 0) {
		PyObject *module = PyImport_ImportModule("_onefile_start");
		if (module)
			PyObject_CallMethod(module, "run", NULL);
	}
	PyErr_Print();
	_exit(1);
}
