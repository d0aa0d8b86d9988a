/* inputs.c - what is read must not be replaced: see extract_is_input() in extract.h. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "extract/extract.h"

static bool ends_with(const char *text, const char *tail)
{
    size_t length = strlen(text), tail_length = strlen(tail);

    return length >= tail_length && strcmp(text + length - tail_length, tail) == 0;
}

/* Both as realpath() has them. */
static bool is_below(const char *file, const char *folder)
{
    size_t length = strlen(folder);

    return strncmp(file, folder, length) == 0 && (length == 1 || file[length] == '/');
}

bool extract_is_input(const char *file, char *const *paths, size_t count)
{
    char real[PATH_MAX], real_path[PATH_MAX];
    struct stat st, path_st;

    if (stat(file, &st) != 0 || !realpath(file, real))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (stat(paths[i], &path_st) != 0 || !realpath(paths[i], real_path))
            continue;
        if (S_ISDIR(path_st.st_mode) ? is_below(real, real_path) &&
                                           (ends_with(real, ".fits") || ends_with(real, ".part"))
                                     : st.st_dev == path_st.st_dev && st.st_ino == path_st.st_ino)
            return true;
    }
    return false;
}
