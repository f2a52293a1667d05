/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay_main - run a fuzz target over the files of its corpus, without a fuzzer.
 *
 * usage: fuzz_<target> CORPUS_DIR. Exit status 1 if the folder is missing or empty: a corpus that
 * went away is a test that no longer tests.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int replay_file(const char *dir, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        return -1;
    }
    size_t cap = 1u << 20;
    uint8_t *data = malloc(cap);
    size_t n = data == NULL ? 0 : fread(data, 1, cap, f);
    fclose(f);
    /* An exact-size copy lets the sanitizer see a read past the end. */
    uint8_t *exact = malloc(n == 0 ? 1 : n);
    for (size_t i = 0; exact != NULL && i < n; i++)
        exact[i] = data[i];
    if (exact != NULL)
        LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS_DIR\n", argv[0]);
        return 2;
    }
    DIR *d = opendir(argv[1]);
    if (d == NULL) {
        perror(argv[1]);
        return 1;
    }
    unsigned files = 0;
    int failed = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] == '.')
            continue;
        failed |= replay_file(argv[1], e->d_name);
        files++;
    }
    closedir(d);
    printf("%u corpus files replayed\n", files);
    return files == 0 || failed != 0;
}
