// SPDX-License-Identifier: Apache-2.0
// The entry of dist/pyrunc: starts the CPython that is linked into it, as far as pyrunc needs it, and runs start.py.
//
// Why C: a program that has its interpreter inside must call it. Nothing of a container is decided or done here.
// The interpreter is isolated (python -I -S -B -X utf8): no variable of the environment, no file of the host and no
// directory is looked at. It stops after the core phase of its initialisation (PEP 587): no path finder, no codecs
// from files, no standard streams, as a call that succeeds uses none of them. complete() does the rest on demand.
#include <Python.h>
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/prctl.h>

extern const struct _frozen onefile_frozen[];
extern const unsigned char onefile_helper[];
extern const size_t onefile_helper_size;

// The functions that ctypes finds: a static program has no dynamic symbols (onefile/functions.py has the names).
struct function {
	const char *name;
	void *address;
};
extern const struct function onefile_functions[];

static char library;

void *onefile_dlopen(const char *name, int flags);
void *onefile_dlsym(void *handle, const char *name);
int onefile_dlclose(void *handle);
char *onefile_dlerror(void);

void *onefile_dlopen(const char *name, int flags)
{
	(void)flags;
	return !name || !strcmp(name, "libseccomp.so.2") ? &library : NULL;
}

void *onefile_dlsym(void *handle, const char *name)
{
	(void)handle;
	for (const struct function *row = onefile_functions; row->name; row++)
		if (!strcmp(row->name, name))
			return row->address;
	return NULL;
}

int onefile_dlclose(void *handle)
{
	(void)handle;
	return 0;
}

char *onefile_dlerror(void)
{
	return "not in this program";
}

// pyrunc-init, for process/spawn.py
static PyObject *helper(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyBytes_FromStringAndSize((const char *)onefile_helper, (Py_ssize_t)onefile_helper_size);
}

// Not in a public header, and part of the main phase only: SIGINT raises KeyboardInterrupt, SIGPIPE is an error of write(2).
extern int _PySignal_Init(int install_signal_handlers);

// Python interns the strings of all modules that are frozen into its library, which touches 180 pages and takes a quarter
// of the start. All that a call uses of them is importlib's bootstrap; the rest can wait for the main phase. The linker
// puts the first function in the place of the real one (--wrap).
extern int __real__Py_Deepfreeze_Init(void);
extern int _PyStaticCode_InternStrings(PyCodeObject *code);
extern PyObject *_Py_get_importlib__bootstrap_toplevel(void);
int __wrap__Py_Deepfreeze_Init(void);
int __wrap__Py_Deepfreeze_Init(void)
{
	return _PyStaticCode_InternStrings((PyCodeObject *)_Py_get_importlib__bootstrap_toplevel());
}

// Every `from x import y` asks x for __path__, and modules answer "no" by an AttributeError with a text, a fifteenth of all
// that `create` computes. As ordinary objects they answer without. Libraries get the real thing: theirs may have a
// __getattr__ (PEP 562).
static getattrofunc module_getattr;

// The main phase: the path finder for the archive behind this program, codecs, standard streams.
static PyObject *complete(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	PyModule_Type.tp_getattro = module_getattr;
	if (__real__Py_Deepfreeze_Init() < 0)
		return PyErr_NoMemory();
	PyStatus status = _Py_InitializeMain();
	if (PyStatus_Exception(status)) {
		PyErr_SetString(PyExc_RuntimeError, status.err_msg ? status.err_msg : "Python is not complete");
		return NULL;
	}
	Py_RETURN_NONE;
}

static PyMethodDef onefile_methods[] = {
	{"helper", helper, METH_NOARGS, NULL}, {"complete", complete, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef onefile_module = {
	PyModuleDef_HEAD_INIT, "_onefile", NULL, 0, onefile_methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__onefile(void);
PyMODINIT_FUNC PyInit__onefile(void)
{
	return PyModuleDef_Init(&onefile_module);
}

// What pyrunc uses of python-prctl's C part.
static PyObject *call_prctl(PyObject *module, PyObject *args)
{
	long option;
	unsigned long operand = 0;
	(void)module;
	if (!PyArg_ParseTuple(args, "l|k", &option, &operand))
		return NULL;
	int result = prctl((int)option, operand, 0, 0, 0);
	return result < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(result);
}

static PyMethodDef prctl_methods[] = {{"prctl", call_prctl, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef prctl_module = {
	PyModuleDef_HEAD_INIT, "_prctl", NULL, 0, prctl_methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__prctl(void);
PyMODINIT_FUNC PyInit__prctl(void)
{
	return PyModuleDef_Init(&prctl_module);
}

static void leave(PyStatus status)
{
	dprintf(2, "pyrunc: internal error: Python does not start: %s\n", status.err_msg ? status.err_msg : "unknown");
	_exit(1);
}

static void start(int argc, char **argv)
{
	PyPreConfig before;
	PyPreConfig_InitIsolatedConfig(&before);
	before.utf8_mode = 1;
	PyStatus status = Py_PreInitialize(&before);
	if (PyStatus_Exception(status))
		leave(status);

	PyConfig config;
	PyConfig_InitIsolatedConfig(&config);
	config._init_main = 0;
	config.parse_argv = 0;
	config.site_import = 0;
	config.write_bytecode = 0;
	config.pathconfig_warnings = 0;
	config.install_signal_handlers = 1;
	// With all of them given nothing is searched for.
	wchar_t *self = L"/proc/self/exe";
	config.program_name = self;
	wchar_t **places[] = {&config.executable, &config.base_executable, &config.home,
			      &config.prefix,	  &config.base_prefix,	   &config.exec_prefix,
			      &config.stdlib_dir, &config.base_exec_prefix};
	for (size_t index = 0; index < sizeof places / sizeof *places; index++)
		*places[index] = self;
	config.module_search_paths_set = 1;
	if (!PyStatus_Exception(status))
		status = PyWideStringList_Append(&config.module_search_paths, self);
	if (!PyStatus_Exception(status))
		status = PyConfig_SetBytesArgv(&config, argc, argv);
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	if (PyStatus_Exception(status))
		leave(status);
}

int main(int argc, char **argv)
{
	PyImport_FrozenModules = onefile_frozen;
	start(argc, argv);
	module_getattr = PyModule_Type.tp_getattro;
	PyModule_Type.tp_getattro = PyObject_GenericGetAttr;
	PyObject *words = PyList_New(argc);
	for (int index = 0; words && index < argc; index++) {
		PyObject *word = PyUnicode_DecodeFSDefault(argv[index]);
		if (!word)
			break;
		PyList_SET_ITEM(words, index, word);
	}
	if (words && !PyErr_Occurred() && _PySignal_Init(1) == 0 && PySys_SetObject("argv", words) == 0)
		PyImport_ImportFrozenModule("_onefile_start");
	PyErr_Print();
	_exit(1);
}
