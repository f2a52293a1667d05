/* SPDX-License-Identifier: Apache-2.0 */
#include "proc_cpu.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t thread_cpu_ns(const char *task_dir, const char *tid)
{
    char path[384];
    uint64_t ns = 0;
    (void)snprintf(path, sizeof path, "%s/%s/schedstat", task_dir, tid);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return 0;
    }
    if (fscanf(f, "%" SCNu64, &ns) != 1) {
        ns = 0;
    }
    (void)fclose(f);
    return ns;
}

uint64_t proc_cpu_ns(int pid)
{
    char task_dir[64];
    (void)snprintf(task_dir, sizeof task_dir, "/proc/%d/task", pid);
    DIR *d = opendir(task_dir);
    if (d == NULL) {
        return 0;
    }
    uint64_t sum = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] != '.') {
            sum += thread_cpu_ns(task_dir, e->d_name);
        }
    }
    (void)closedir(d);
    return sum;
}
