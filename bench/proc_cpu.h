/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc_cpu - the clock, and the CPU time other processes have used.
 *
 * /proc/PID/task/TID/schedstat counts nanoseconds on the CPU; /proc/PID/stat only counts ticks of
 * 4 or 10 ms, too coarse for a round of half a second.
 */
#ifndef PROC_CPU_H
#define PROC_CPU_H

#include <stdint.h>

uint64_t now_ns(void);
/* Sum over all threads that live now; a process that is gone counts 0. */
uint64_t proc_cpu_ns(int pid);

#endif
