/*
 * test_segment.c - creating, opening, checking and closing segments; the SIGBUS guard.
 */
#include "tests/support/testbed.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/semset.h"

/* ---- creating ---- */

START_TEST(a_new_segment_is_as_the_protocol_says)
{
    struct dao_geometry geo = testbed_geometry(4, 3);
    struct dao_segment seg;
    IMAGE_KEYWORD kw;

    ck_assert_int_eq(dao_segment_create(&seg, testbed_path("new"), &geo, NULL), 0);
    for (uint32_t i = 0; i < 4; i++) {
        const IMAGE_METADATA *md = dao_segment_md(&seg, i);

        ck_assert(strlen(md->name) > 0);
        ck_assert_uint_eq(md->naxis, 2);
        ck_assert_uint_eq(md->size[0], 4);
        ck_assert_uint_eq(md->size[1], 2);
        ck_assert_uint_eq(md->size[2], 0);
        ck_assert_uint_eq(md->nelement, 8);
        ck_assert_uint_eq(md->atype, _DATATYPE_UINT16);
        ck_assert_uint_eq(md->NBkw, 3);
        ck_assert_uint_eq(md->cnt0, 0);
        ck_assert_uint_eq(md->write, 0);
        ck_assert_double_gt(md->creation_time, 1e9);
    }
    ck_assert_uint_eq(dao_segment_md(&seg, 0)->fifo_size, 4);
    ck_assert_uint_eq(dao_segment_md(&seg, 0)->fifo_last_written, 3);
    ck_assert_uint_eq(dao_segment_md(&seg, 0)->sem, 10);
    ck_assert_uint_eq(dao_segment_md(&seg, 1)->fifo_size, 0);
    ck_assert_uint_eq(dao_segment_md(&seg, 1)->sem, 0);
    for (unsigned i = 0; i < 3; i++) {
        dao_segment_keyword(&seg, i, &kw);
        ck_assert_int_eq(kw.type, 'N');
    }
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_created_segment_can_be_opened_with_every_type_and_number_of_axes)
{
    static const uint32_t size[] = {5, 3, 2};

    for (unsigned atype = 1; atype <= DAO_DTYPE_COUNT; atype++) {
        for (int naxis = 1; naxis <= 3; naxis++) {
            struct dao_geometry geo;
            struct dao_segment made, opened;

            ck_assert_int_eq(dao_geometry_make(&geo, naxis, size, atype, 3, 2, NULL), 0);
            ck_assert_int_eq(dao_segment_create(&made, testbed_path("types"), &geo, NULL), 0);
            ck_assert_int_eq(
                dao_segment_open(&opened, testbed_path("types"), DAO_ACCESS_READ, NULL), 0);
            ck_assert(dao_geometry_equal(&opened.geo, &geo));
            ck_assert(!opened.ambiguous);
            dao_segment_close(&made);
            dao_segment_close(&opened);
        }
    }
}
END_TEST

START_TEST(the_mode_is_0666_under_the_umask)
{
    struct dao_segment seg;
    struct stat st;

    umask(0027);
    testbed_create(&seg, "mode", 1);
    ck_assert_int_eq(fstat(seg.fd, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0640);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(the_same_geometry_is_set_back_in_place_and_readers_stay)
{
    struct dao_segment first, again;
    double creation_time;
    ino_t ino;

    testbed_create(&first, "again", 3);
    put_frames(&first, 1, 5);
    set_write(&first, 1, 1);
    creation_time = dao_segment_md(&first, 0)->creation_time;
    ino = first.ino;
    testbed_create(&again, "again", 3);
    ck_assert_uint_eq(again.ino, ino);
    ck_assert_int_eq(dao_segment_check(&first), 0);
    ck_assert_int_eq(dao_segment_check_path(&first), 0);
    ck_assert_double_ne(dao_segment_md(&first, 0)->creation_time, creation_time);
    ck_assert_uint_eq(get_head(&first), 2);
    for (uint32_t i = 0; i < 3; i++) {
        static const unsigned char zeros[16];

        ck_assert_uint_eq(dao_segment_md(&first, i)->cnt0, 0);
        ck_assert_uint_eq(dao_segment_md(&first, i)->write, 0);
        ck_assert_mem_eq(dao_segment_pixels(&first, i), zeros, sizeof zeros);
    }
    dao_segment_close(&first);
    dao_segment_close(&again);
}
END_TEST

START_TEST(setting_back_gives_keywords_their_blank_type)
{
    struct dao_geometry geo = testbed_geometry(1, 1);
    struct dao_segment seg;
    IMAGE_KEYWORD kw = {.name = "GAIN", .type = 'D'};

    ck_assert_int_eq(dao_segment_create(&seg, testbed_path("kw"), &geo, NULL), 0);
    memcpy(seg.map + seg.geo.kw_off, &kw, sizeof kw);
    dao_segment_close(&seg);
    ck_assert_int_eq(dao_segment_create(&seg, testbed_path("kw"), &geo, NULL), 0);
    dao_segment_keyword(&seg, 0, &kw);
    ck_assert_int_eq(kw.type, 'N');
    ck_assert_int_eq(kw.name[0], 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(another_geometry_replaces_the_file)
{
    struct dao_segment old, fresh;

    testbed_create(&old, "replaced", 3);
    testbed_create(&fresh, "replaced", 4);
    ck_assert_uint_ne(old.ino, fresh.ino);
    ck_assert_int_eq(dao_segment_check_path(&old), -ESTALE);
    ck_assert_int_eq(dao_segment_check(&old), 0); /* what is mapped stays whole */
    ck_assert_int_eq(dao_segment_check_path(&fresh), 0);
    dao_segment_close(&old);
    dao_segment_close(&fresh);
}
END_TEST

START_TEST(a_file_that_is_no_segment_is_replaced_too)
{
    struct dao_segment seg;
    int fd = open(testbed_path("notes"), O_CREAT | O_WRONLY, 0644);

    ck_assert_int_eq((int)write(fd, "notes", 5), 5);
    close(fd);
    testbed_create(&seg, "notes", 2);
    dao_segment_close(&seg);
    ck_assert_int_eq(dao_segment_open(&seg, testbed_path("notes"), DAO_ACCESS_READ, NULL), 0);
    dao_segment_close(&seg);
}
END_TEST

static unsigned count_files(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    unsigned files = 0;

    while ((entry = readdir(dir)))
        files += entry->d_name[0] != '.';
    closedir(dir);
    return files;
}

START_TEST(creating_leaves_no_unfinished_files)
{
    static const uint32_t size[] = {1u << 31, 1u << 20}; /* 2 PiB */
    struct dao_geometry geo = testbed_geometry(1, 0);
    char sub[400], path[500];
    struct dao_segment seg;

    snprintf(sub, sizeof sub, "%s/sub", testbed_dir);
    snprintf(path, sizeof path, "%s/x.im.shm", sub);
    ck_assert_int_eq(mkdir(sub, 0755), 0);
    ck_assert_int_eq(dao_segment_create(&seg, path, &geo, NULL), 0);
    dao_segment_close(&seg);
    geo = testbed_geometry(2, 0);
    ck_assert_int_eq(dao_segment_create(&seg, path, &geo, NULL), 0);
    dao_segment_close(&seg);
    ck_assert_uint_eq(count_files(sub), 1);
    ck_assert_int_eq(dao_geometry_make(&geo, 2, size, 1, 1, 0, NULL), 0);
    ck_assert_int_lt(dao_segment_create(&seg, path, &geo, NULL), 0);
    ck_assert_uint_eq(count_files(sub), 1);
    unlink(path);
    rmdir(sub);
}
END_TEST

START_TEST(a_segment_without_room_is_an_error_not_a_fault)
{
    static const uint32_t size[] = {1u << 31, 1u << 20}; /* 2 PiB */
    struct dao_geometry geo;
    struct dao_segment seg;
    struct dao_text text = {""};
    int error;

    ck_assert_int_eq(dao_geometry_make(&geo, 2, size, 1, 1, 0, NULL), 0);
    error = dao_segment_create(&seg, testbed_path("huge"), &geo, &text);
    ck_assert_msg(error == -ENOSPC || error == -EFBIG, "%d: %s", error, text.s);
    ck_assert_ptr_nonnull(strstr(text.s, "cannot reserve"));
    ck_assert_int_eq(access(testbed_path("huge"), F_OK), -1);
    dao_segment_close(&seg); /* closed already: allowed */
}
END_TEST

START_TEST(only_the_fifo_layout_is_created)
{
    struct dao_geometry geo = testbed_geometry(1, 0);
    struct dao_segment seg;

    geo.layout = NULL;
    ck_assert_int_eq(dao_segment_create(&seg, testbed_path("other"), &geo, NULL), -EINVAL);
    ck_assert_int_eq(access(testbed_path("other"), F_OK), -1);
}
END_TEST

START_TEST(a_private_segment_has_no_file)
{
    struct dao_geometry geo = testbed_geometry(3, 1);
    struct dao_segment seg;

    ck_assert_int_eq(dao_segment_create_private(&seg, "mine", &geo, NULL), 0);
    ck_assert_int_eq(seg.fd, -1);
    ck_assert_uint_eq(get_head(&seg), 2);
    ck_assert_uint_eq(dao_segment_md(&seg, 0)->shared, 0);
    ck_assert_int_eq(dao_segment_check(&seg), 0);
    ck_assert_int_eq(dao_segment_check_path(&seg), 0);
    dao_segment_close(&seg);
    dao_segment_close(&seg);
}
END_TEST

/* ---- opening ---- */

START_TEST(what_cannot_be_opened_is_named)
{
    struct dao_segment seg;
    struct dao_text text = {""};

    ck_assert_int_eq(dao_segment_open(&seg, testbed_path("none"), DAO_ACCESS_READ, &text), -ENOENT);
    ck_assert_ptr_nonnull(strstr(text.s, "none"));
    ck_assert_int_eq(dao_segment_open(&seg, testbed_dir, DAO_ACCESS_READ, &text), -EISDIR);
    ck_assert_ptr_nonnull(strstr(text.s, testbed_dir));
    ck_assert_int_eq(dao_segment_open(&seg, testbed_dir, DAO_ACCESS_WRITE, &text), -EISDIR);
    ck_assert_int_eq(dao_segment_open(&seg, "", DAO_ACCESS_READ, &text), -EINVAL);
    ck_assert_int_eq(dao_segment_open(&seg, NULL, DAO_ACCESS_READ, &text), -EINVAL);
    ck_assert_int_eq(dao_segment_open(&seg, "/dev/null", DAO_ACCESS_READ, &text), -EMEDIUMTYPE);
    ck_assert_int_eq(mkfifo(testbed_path("pipe"), 0600), 0);
    ck_assert_int_eq(dao_segment_open(&seg, testbed_path("pipe"), DAO_ACCESS_READ, &text),
                     -EMEDIUMTYPE);
}
END_TEST

START_TEST(files_of_a_wrong_length_are_refused)
{
    struct dao_segment seg;
    struct dao_text text = {""};

    testbed_create(&seg, "length", 2);
    ck_assert_int_eq(ftruncate(seg.fd, (off_t)seg.geo.file_bytes + 1), 0);
    ck_assert_int_eq(dao_segment_open(&seg, testbed_path("length"), DAO_ACCESS_READ, &text),
                     -EMEDIUMTYPE);
    ck_assert_ptr_nonnull(strstr(text.s, "8641"));
    ck_assert_int_eq(truncate(testbed_path("length"), 5000), 0);
    ck_assert_int_eq(dao_segment_open(&seg, testbed_path("length"), DAO_ACCESS_READ, &text),
                     -EMEDIUMTYPE);
    ck_assert_int_eq(truncate(testbed_path("length"), 0), 0);
    ck_assert_int_eq(dao_segment_open(&seg, testbed_path("length"), DAO_ACCESS_READ, &text),
                     -EMEDIUMTYPE);
    ck_assert_ptr_nonnull(strstr(text.s, "empty"));
    ck_assert_int_eq(truncate(testbed_path("length"), 8640), 0);
    ck_assert_int_eq(dao_segment_open(&seg, testbed_path("length"), DAO_ACCESS_READ, &text),
                     -ENODATA);
    ck_assert_ptr_nonnull(strstr(text.s, "being created"));
}
END_TEST

/* In a child, because it gives up its rights. 0 where the refusal is as it should be. */
static int open_without_rights(const char *path)
{
    struct dao_segment seg;
    struct dao_text text = {""};

    if (geteuid() == 0 && seteuid(65534) < 0)
        return 1;
    if (dao_segment_open(&seg, path, DAO_ACCESS_READ, &text) != -EACCES)
        return 2;
    return strstr(text.s, path) && strstr(text.s, "mode 0200") && strstr(text.s, "uid ") ? 0 : 3;
}

START_TEST(a_refusal_names_owner_and_mode)
{
    struct dao_segment seg;
    int status;
    pid_t pid;

    testbed_create(&seg, "secret", 1);
    ck_assert_int_eq(chmod(testbed_dir, 0755), 0);
    ck_assert_int_eq(chmod(testbed_path("secret"), 0200), 0);
    pid = fork();
    if (pid == 0)
        _exit(open_without_rights(testbed_path("secret")));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(opening_read_only_touches_nothing)
{
    struct dao_segment seg;
    unsigned char *before;
    struct stat a, b;

    testbed_create(&seg, "readonly", 2);
    put_frames(&seg, 1, 3);
    before = malloc(seg.geo.file_bytes);
    memcpy(before, seg.map, seg.geo.file_bytes);
    ck_assert_int_eq(fstat(seg.fd, &a), 0);
    dao_segment_close(&seg);
    ck_assert_int_eq(dao_segment_open(&seg, testbed_path("readonly"), DAO_ACCESS_READ, NULL), 0);
    ck_assert_int_eq(fstat(seg.fd, &b), 0);
    ck_assert_mem_eq(seg.map, before, seg.geo.file_bytes);
    ck_assert_int_eq(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
    /* not even by mistake: the kernel refuses */
    ck_assert_int_eq(mprotect(seg.map, 1, PROT_READ | PROT_WRITE), -1);
    dao_segment_close(&seg);
    free(before);
}
END_TEST

START_TEST(the_other_layouts_are_opened_too)
{
    static const struct {
        uint32_t md_bytes;
        enum dao_layout_kind kind;
        uint32_t depth;
    } cases[] = {{4296, DAO_LAYOUT_PREFIFO, 1}, {16448, DAO_LAYOUT_NEWER, 2}};

    for (unsigned i = 0; i < 2; i++) {
        uint32_t bytes = cases[i].depth * (cases[i].md_bytes + 16);
        unsigned char *file = calloc(1, bytes);
        IMAGE_METADATA *md = (IMAGE_METADATA *)(void *)file;
        int fd = open(testbed_path("layouts"), O_CREAT | O_TRUNC | O_WRONLY, 0644);
        struct dao_segment seg;

        md->naxis = 2;
        md->size[0] = 4;
        md->size[1] = 2;
        md->nelement = 8;
        md->atype = _DATATYPE_UINT16;
        md->creation_time = 1.7e9;
        if (cases[i].kind == DAO_LAYOUT_NEWER)
            memcpy(file + 16392, &cases[i].depth, 4);
        ck_assert_int_eq((int)write(fd, file, bytes), (int)bytes);
        close(fd);
        ck_assert_int_eq(dao_segment_open(&seg, testbed_path("layouts"), DAO_ACCESS_READ, NULL), 0);
        ck_assert_int_eq(seg.geo.layout->kind, cases[i].kind);
        ck_assert_ptr_eq(dao_segment_pixels(&seg, 0), seg.map + cases[i].depth * cases[i].md_bytes);
        dao_segment_close(&seg);
        free(file);
    }
}
END_TEST

START_TEST(a_sparse_file_beyond_4_gib_is_opened)
{
    static const uint32_t size[] = {65536, 40000};
    struct dao_geometry geo;
    struct dao_segment seg, small;
    uint64_t last;

    /* The head of a small one, then the length of the large one. */
    ck_assert_int_eq(dao_geometry_make(&geo, 2, size, _DATATYPE_UINT16, 2, 0, NULL), 0);
    ck_assert_uint_gt(geo.file_bytes, 2 * (1ull << 32));
    testbed_create(&small, "sparse", 2);
    for (uint32_t i = 0; i < 2; i++) {
        IMAGE_METADATA *md = dao_segment_md(&small, i);

        md->size[0] = size[0];
        md->size[1] = size[1];
        md->nelement = geo.nelement;
    }
    memset(dao_segment_pixels(&small, 0), 0, 32);
    if (ftruncate(small.fd, (off_t)geo.file_bytes) < 0)
        return; /* no such files here */
    ck_assert_int_eq(dao_segment_open(&seg, testbed_path("sparse"), DAO_ACCESS_WRITE, NULL), 0);
    ck_assert(dao_geometry_equal(&seg.geo, &geo));
    last = geo.frame_bytes - 1;
    dao_segment_pixels(&seg, 1)[last] = 0x5a; /* the very last byte of the file */
    ck_assert_uint_eq(seg.map[geo.file_bytes - 1], 0x5a);
    dao_segment_close(&seg);
    dao_segment_close(&small);
}
END_TEST

START_TEST(closing_is_safe_on_nothing_and_twice)
{
    struct dao_segment seg = {0};

    dao_segment_close(&seg);
    dao_segment_close(&seg);
    ck_assert_int_eq(fcntl(0, F_GETFD), 0); /* fd 0 of a zeroed segment is not its own */
    testbed_create(&seg, "twice", 1);
    dao_segment_close(&seg);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_moved_segment_is_still_the_same)
{
    struct dao_segment seg, moved;

    testbed_create(&seg, "moved", 2);
    moved = seg;
    memset(&seg, 0, sizeof seg);
    ck_assert_int_eq(ftruncate(moved.fd, 0), 0);
    ck_assert_uint_eq(dao_segment_md(&moved, 1)->cnt0, 0); /* guarded */
    ck_assert(dao_segment_is_gone(&moved));
    dao_segment_close(&moved);
}
END_TEST

START_TEST(a_writer_lock_is_held_by_one)
{
    struct dao_segment a, b;

    testbed_create(&a, "lock", 1);
    ck_assert_int_eq(dao_segment_open(&b, testbed_path("lock"), DAO_ACCESS_READ, NULL), 0);
    ck_assert_int_eq(dao_segment_lock_writer(&a), 0);
    ck_assert_int_eq(dao_segment_lock_writer(&b), -EWOULDBLOCK);
    dao_segment_close(&a);
    ck_assert_int_eq(dao_segment_lock_writer(&b), 0);
    dao_segment_close(&b);
}
END_TEST

/* ---- changes under our feet ---- */

START_TEST(a_removed_file_shows_in_the_path_only)
{
    struct dao_segment seg;

    testbed_create(&seg, "removed", 1);
    ck_assert_int_eq(unlink(testbed_path("removed")), 0);
    ck_assert_int_eq(dao_segment_check(&seg), 0);
    ck_assert_int_eq(dao_segment_check_path(&seg), -ESTALE);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(another_length_shows_in_the_check)
{
    struct dao_segment seg;

    testbed_create(&seg, "longer", 1);
    ck_assert_int_eq(ftruncate(seg.fd, (off_t)seg.geo.file_bytes + 1), 0);
    ck_assert_int_eq(dao_segment_check(&seg), -ESTALE);
    ck_assert_int_eq(ftruncate(seg.fd, (off_t)seg.geo.file_bytes), 0);
    ck_assert_int_eq(dao_segment_check(&seg), 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_truncated_segment_reads_as_zeros_and_is_gone)
{
    struct dao_segment seg, other;
    struct dao_geometry geo;
    static const uint32_t size[] = {4096, 8};

    ck_assert_int_eq(dao_geometry_make(&geo, 2, size, _DATATYPE_UINT16, 4, 0, NULL), 0);
    ck_assert_int_eq(dao_segment_create(&seg, testbed_path("cut"), &geo, NULL), 0);
    testbed_create(&other, "whole", 1);
    memset(dao_segment_pixels(&seg, 0), 0x77, 4 * geo.frame_bytes);
    ck_assert_int_eq(ftruncate(seg.fd, 65536), 0);
    ck_assert(!dao_segment_is_gone(&seg)); /* nobody has looked yet */
    ck_assert_uint_eq(dao_segment_pixels(&seg, 3)[100], 0);
    ck_assert(dao_segment_is_gone(&seg));
    ck_assert_int_eq(dao_segment_check(&seg), -ESTALE);
    ck_assert_uint_eq(seg.map[geo.file_bytes - 1], 0);       /* the rest of the mapping too */
    ck_assert_uint_eq(dao_segment_pixels(&seg, 0)[0], 0x77); /* what is left of the file stays */
    ck_assert(!dao_segment_is_gone(&other));
    ck_assert_int_eq(ftruncate(seg.fd, (off_t)geo.file_bytes), 0);
    ck_assert_int_eq(dao_segment_check(&seg), -ESTALE); /* and never comes back */
    dao_segment_close(&seg);
    dao_segment_close(&other);
}
END_TEST

START_TEST(a_writer_is_guarded_too)
{
    struct dao_segment seg;

    testbed_create(&seg, "cutwriter", 2);
    ck_assert_int_eq(ftruncate(seg.fd, 0), 0);
    memset(dao_segment_pixels(&seg, 0), 1, seg.geo.frame_bytes);
    ck_assert(dao_segment_is_gone(&seg));
    dao_segment_close(&seg);
}
END_TEST

START_TEST(many_segments_are_guarded_at_once)
{
    enum { COUNT = 300 }; /* more than one chunk of the table */
    static struct dao_segment segs[COUNT];

    testbed_create(&segs[0], "many", 1);
    for (int i = 1; i < COUNT; i++)
        ck_assert_int_eq(dao_segment_open(&segs[i], testbed_path("many"), DAO_ACCESS_READ, NULL),
                         0);
    ck_assert_int_eq(ftruncate(segs[0].fd, 0), 0);
    for (int i = 0; i < COUNT; i++) {
        ck_assert(!dao_segment_is_gone(&segs[i]));
        ck_assert_uint_eq(dao_segment_md(&segs[i], 0)->naxis, 0);
        ck_assert(dao_segment_is_gone(&segs[i]));
        dao_segment_close(&segs[i]);
    }
}
END_TEST

static sigjmp_buf after_fault;
static volatile sig_atomic_t faults;

static void count_fault(int signo)
{
    (void)signo;
    faults++;
    siglongjmp(after_fault, 1);
}

START_TEST(other_faults_go_to_the_handler_that_was_there)
{
    struct sigaction mine = {.sa_handler = count_fault};
    struct dao_segment seg;
    int fd = open(testbed_path("foreign"), O_CREAT | O_RDWR, 0644);
    volatile char *foreign;

    ck_assert_int_eq(sigaction(SIGBUS, &mine, NULL), 0);
    testbed_create(&seg, "guarded", 1);
    ck_assert_int_eq(ftruncate(fd, 4096), 0);
    foreign = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne((void *)foreign, MAP_FAILED);
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    if (sigsetjmp(after_fault, 1) == 0)
        (void)foreign[0];
    ck_assert_int_eq(faults, 1);
    ck_assert_int_eq(ftruncate(seg.fd, 0), 0);
    ck_assert_uint_eq(dao_segment_md(&seg, 0)->naxis, 0);
    ck_assert_int_eq(faults, 1);
    dao_segment_close(&seg);
    close(fd);
}
END_TEST

/* A child that faults where nothing guards must still die of it. */
static int status_of_fault(bool guarded)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct sigaction fallback = {.sa_handler = SIG_DFL};
        struct dao_segment seg;

        sigaction(SIGBUS, &fallback, NULL);
        dao_segment_guard(guarded);
        testbed_create(&seg, guarded ? "on" : "off", 1);
        if (ftruncate(seg.fd, 0) == 0)
            _exit(dao_segment_md(&seg, 0)->naxis);
        _exit(1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

START_TEST(the_guard_can_be_switched_off)
{
    ck_assert_int_eq(status_of_fault(true), 0);
    ck_assert(WIFSIGNALED(status_of_fault(false)));
}
END_TEST

START_TEST(a_signal_sent_by_someone_still_kills)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct sigaction fallback = {.sa_handler = SIG_DFL};
        struct dao_segment seg;

        sigaction(SIGBUS, &fallback, NULL);
        testbed_create(&seg, "sent", 1);
        kill(getpid(), SIGBUS);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}
END_TEST

/* ---- semaphores ---- */

START_TEST(semaphores_are_made_posted_once_and_drained)
{
    struct dao_semset a, b;
    const char *path = testbed_path("sems.extra");
    char name[200];
    int value;

    ck_assert_int_eq(dao_semset_open(&a, path, false, NULL), 0);
    snprintf(name, sizeof name, "/%s_sems_sem09", testbed_prefix);
    ck_assert_ptr_ne(sem_open(name, 0), SEM_FAILED); /* up to the first dot */
    snprintf(name, sizeof name, "/%s_sems_semlog", testbed_prefix);
    ck_assert_ptr_ne(sem_open(name, 0), SEM_FAILED);
    dao_semset_post(&a, -1);
    dao_semset_post(&a, -1);
    for (int i = 0; i < IMAGE_NB_SEMAPHORE; i++) {
        ck_assert_int_eq(sem_getvalue(a.sem[i], &value), 0);
        ck_assert_int_eq(value, 1);
    }
    ck_assert_int_eq(sem_getvalue(a.semlog, &value), 0);
    ck_assert_int_eq(value, 0);
    ck_assert_int_eq(dao_semset_open(&b, path, false, NULL), 0);
    ck_assert_int_eq(sem_getvalue(b.sem[3], &value), 0);
    ck_assert_int_eq(value, 1);
    dao_semset_close(&b);
    ck_assert_int_eq(dao_semset_open(&b, path, true, NULL), 0);
    ck_assert_int_eq(sem_getvalue(a.sem[3], &value), 0);
    ck_assert_int_eq(value, 0);
    dao_semset_post(&b, 3);
    ck_assert_int_eq(sem_getvalue(a.sem[3], &value), 0);
    ck_assert_int_eq(value, 1);
    ck_assert_int_eq(sem_getvalue(a.sem[4], &value), 0);
    ck_assert_int_eq(value, 0);
    dao_semset_unlink(path);
    ck_assert_ptr_eq(sem_open(name, 0), SEM_FAILED);
    dao_semset_close(&a);
    dao_semset_close(&a);
    dao_semset_close(&b);
}
END_TEST

START_TEST(a_file_without_a_base_name_has_no_semaphores)
{
    struct dao_semset set;
    struct dao_text text = {""};
    char path[600];

    ck_assert_int_eq(dao_semset_open(&set, "/dev/shm/.hidden", false, &text), -EINVAL);
    ck_assert_int_eq(dao_semset_open(&set, NULL, false, &text), -EINVAL);
    memset(path, 'a', 300);
    path[300] = '\0';
    ck_assert_int_eq(dao_semset_open(&set, path, false, &text), -ENAMETOOLONG);
    dao_semset_post(&set, -1); /* none there: nothing happens */
    dao_semset_close(&set);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segment");
    TCase *create = tcase_create("create"), *opening = tcase_create("open");
    TCase *change = tcase_create("change"), *sems = tcase_create("semaphores");

    tcase_add_test(create, a_new_segment_is_as_the_protocol_says);
    tcase_add_test(create, a_created_segment_can_be_opened_with_every_type_and_number_of_axes);
    tcase_add_test(create, the_mode_is_0666_under_the_umask);
    tcase_add_test(create, the_same_geometry_is_set_back_in_place_and_readers_stay);
    tcase_add_test(create, setting_back_gives_keywords_their_blank_type);
    tcase_add_test(create, another_geometry_replaces_the_file);
    tcase_add_test(create, a_file_that_is_no_segment_is_replaced_too);
    tcase_add_test(create, creating_leaves_no_unfinished_files);
    tcase_add_test(create, a_segment_without_room_is_an_error_not_a_fault);
    tcase_add_test(create, only_the_fifo_layout_is_created);
    tcase_add_test(create, a_private_segment_has_no_file);
    tcase_add_test(opening, what_cannot_be_opened_is_named);
    tcase_add_test(opening, files_of_a_wrong_length_are_refused);
    tcase_add_test(opening, a_refusal_names_owner_and_mode);
    tcase_add_test(opening, opening_read_only_touches_nothing);
    tcase_add_test(opening, the_other_layouts_are_opened_too);
    tcase_add_test(opening, a_sparse_file_beyond_4_gib_is_opened);
    tcase_add_test(opening, closing_is_safe_on_nothing_and_twice);
    tcase_add_test(opening, a_moved_segment_is_still_the_same);
    tcase_add_test(opening, a_writer_lock_is_held_by_one);
    tcase_add_test(change, a_removed_file_shows_in_the_path_only);
    tcase_add_test(change, another_length_shows_in_the_check);
    tcase_add_test(change, a_truncated_segment_reads_as_zeros_and_is_gone);
    tcase_add_test(change, a_writer_is_guarded_too);
    tcase_add_test(change, many_segments_are_guarded_at_once);
    tcase_add_test(change, other_faults_go_to_the_handler_that_was_there);
    tcase_add_test(change, the_guard_can_be_switched_off);
    tcase_add_test(change, a_signal_sent_by_someone_still_kills);
    tcase_add_test(sems, semaphores_are_made_posted_once_and_drained);
    tcase_add_test(sems, a_file_without_a_base_name_has_no_semaphores);
    suite_add_tcase(suite, create);
    suite_add_tcase(suite, opening);
    suite_add_tcase(suite, change);
    suite_add_tcase(suite, sems);
    return testbed_run(suite);
}
