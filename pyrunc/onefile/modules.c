// SPDX-License-Identifier: Apache-2.0
// Modules in C of dist/pyrunc: _onefile, what pyrunc uses of python-prctl, and the functions that ctypes finds.
#include "snapshot.h"
#include <Python.h>
#include <string.h>
#include <sys/prctl.h>

extern const unsigned char onefile_helper[];
extern const size_t onefile_helper_size;

// The functions that ctypes finds: a static program has no dynamic symbols (build.py has the names).
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

// Every `from x import y` asks x for __path__, and modules answer "no" by an AttributeError with a text, a fifteenth of all
// that `create` computes. As ordinary objects they answer without. Libraries get the real thing: theirs may have a
// __getattr__ (PEP 562).
static getattrofunc module_getattr;

void module_attributes_quick(void)
{
	module_getattr = PyModule_Type.tp_getattro;
	PyModule_Type.tp_getattro = PyObject_GenericGetAttr;
}

// The main phase: the path finder for the archive behind this program, codecs, standard streams.
static PyObject *complete(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	PyModule_Type.tp_getattro = module_getattr;
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
