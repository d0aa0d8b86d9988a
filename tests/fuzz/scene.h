/*
 * scene.h - folders for targets that look at, or write into, a tree: a fresh session a time, beside
 * a file that nobody has any business with. One thread; all of it lies below FUZZ_DIR or /dev/shm.
 */
#ifndef TESTS_FUZZ_SCENE_H
#define TESTS_FUZZ_SCENE_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define SCENE_SESSION "2026-11-25_20-00-00"

/* <root>/2026-11-25_20-00-00/s/s_000001.fits[.part] and <root>/victim */
struct scene {
    char root[200], session[256], stream[280], victim[256];
};

static const char scene_precious[] = "nobody's business";

/* The bytes of a file, malloc'ed; NULL where there is none. */
UNUSED_HELPER static uint8_t *scene_read(int dir_fd, const char *name, size_t *ret_size)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    uint8_t *bytes = NULL;
    struct stat st;

    if (fd >= 0) {
        FUZZ_MUST(fstat(fd, &st) == 0);
        *ret_size = (size_t)st.st_size;
        bytes = malloc(*ret_size + 1);
        FUZZ_MUST(bytes && pread(fd, bytes, *ret_size, 0) == (ssize_t)*ret_size);
        close(fd);
    }
    return bytes;
}

UNUSED_HELPER static void scene_write(const char *folder, const char *name, const void *bytes,
                                      size_t size)
{
    char path[400];
    int fd;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FUZZ_MUST(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

UNUSED_HELPER static void scene_begin(struct scene *scene)
{
    const char *parent = getenv("FUZZ_DIR");

    snprintf(scene->root, sizeof scene->root, "%.150s/scene%d", parent ? parent : "/dev/shm",
             (int)getpid());
    snprintf(scene->session, sizeof scene->session, "%s/" SCENE_SESSION, scene->root);
    snprintf(scene->stream, sizeof scene->stream, "%s/s", scene->session);
    snprintf(scene->victim, sizeof scene->victim, "%s/victim", scene->root);
    FUZZ_MUST(mkdir(scene->root, 0700) == 0 && mkdir(scene->session, 0700) == 0 &&
              mkdir(scene->stream, 0700) == 0);
    scene_write(scene->root, "victim", scene_precious, sizeof scene_precious);
}

static unsigned scene_empty(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    unsigned count = 0;

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
            count += unlinkat(dirfd(dir), entry->d_name, 0) == 0;
    if (dir)
        closedir(dir);
    return count;
}

/* Nothing has changed outside the session's folders, which are removed. */
UNUSED_HELPER static void scene_end(const struct scene *scene)
{
    size_t size = 0;
    uint8_t *precious = scene_read(AT_FDCWD, scene->victim, &size);

    FUZZ_MUST(precious && size == sizeof scene_precious &&
              memcmp(precious, scene_precious, size) == 0);
    free(precious);
    scene_empty(scene->stream);
    FUZZ_MUST(rmdir(scene->stream) == 0);
    scene_empty(scene->session);
    FUZZ_MUST(rmdir(scene->session) == 0);
    FUZZ_MUST(scene_empty(scene->root) == 1); /* the victim, alone */
    FUZZ_MUST(rmdir(scene->root) == 0);
}

#endif
