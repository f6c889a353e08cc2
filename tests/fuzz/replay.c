/* Calls a fuzz target with every file of the folders named: what the fuzzers found stays found. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

enum { FILE_MOST = 1024 * 1024 };

static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(FILE_MOST), *exact = NULL;
    size_t size = file && data ? fread(data, 1, FILE_MOST, file) : 0;
    int failed = !file || !data || ferror(file) || !(exact = malloc(size ? size : 1));
    if (!failed) {
        for (size_t i = 0; i < size; i++)
            exact[i] = data[i];
        LLVMFuzzerTestOneInput(exact, size); /* of its exact size: a read past it shows */
    } else {
        fprintf(stderr, "replay: %s can't be read\n", path);
    }
    if (file)
        fclose(file);
    free(exact);
    free(data);
    return failed;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        char path[4096];
        if (!folder) {
            fprintf(stderr, "replay: no folder %s\n", argv[i]);
            return 1;
        }
        for (struct dirent *entry; (entry = readdir(folder));) {
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (replay(path) != 0)
                return 1;
            count++;
        }
        closedir(folder);
    }
    printf("%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
