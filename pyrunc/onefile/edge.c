// SPDX-License-Identifier: Apache-2.0
// Linked twice, before and after Python and its modules: between the two lies what they can change (snapshot.c).
#include "snapshot.h"

#define NAME_(part, which) snapshot_##part##_##which
#define NAME(part, which) NAME_(part, which)
#define ALIGNED aligned(SNAPSHOT_PAGE)

__attribute__((ALIGNED)) char NAME(data, EDGE)[SNAPSHOT_PAGE] = {1};
__attribute__((ALIGNED)) char NAME(bss, EDGE)[SNAPSHOT_PAGE];
// CPython keeps its runtime state in a section of its own.
__attribute__((ALIGNED, section(".PyRuntime"))) char NAME(runtime, EDGE)[SNAPSHOT_PAGE] = {1};
