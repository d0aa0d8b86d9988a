/*
 * folder.c - see folder.h.
 *
 * What can fail: the folder is not there, is no folder, may not be written to (rights, read-only),
 * has no room or no quota left. Each is a problem, since record could not begin, and the rest of
 * the machine is looked at all the same.
 */
#include "doctor/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/units.h"
#include "doctor/system.h"
#include "io/sink.h"
#include "recording/tree.h"

#define TRIAL_BYTES    (1ull << 20)
#define FOLDERS_MAX    100000u
#define PATH_QUOTED    300
#define XFS_MAGIC      0x58465342
#define ZFS_MAGIC      0x2fc12fc1
#define BCACHEFS_MAGIC 0xca451a4e
#define FUSE_MAGIC     0x65735546
#define CIFS_MAGIC     0xff534d42
#define CEPH_MAGIC     0x00c36400
#define LUSTRE_MAGIC   0x0bd00bd0
#define GPFS_MAGIC     0x47504653
#define NTFS3_MAGIC    0x7366746e

enum kind { KIND_DISK, KIND_MEMORY, KIND_NETWORK, KIND_COPIES, KIND_LAYER };

static const struct file_system {
    uint32_t magic;
    const char *name;
    enum kind kind;
} file_systems[] = {
    {EXT4_SUPER_MAGIC, "ext4", KIND_DISK},
    {XFS_MAGIC, "xfs", KIND_DISK},
    {F2FS_SUPER_MAGIC, "f2fs", KIND_DISK},
    {BTRFS_SUPER_MAGIC, "btrfs", KIND_COPIES},
    {ZFS_MAGIC, "zfs", KIND_COPIES},
    {BCACHEFS_MAGIC, "bcachefs", KIND_COPIES},
    {TMPFS_MAGIC, "tmpfs", KIND_MEMORY},
    {RAMFS_MAGIC, "ramfs", KIND_MEMORY},
    {NFS_SUPER_MAGIC, "nfs", KIND_NETWORK},
    {CIFS_MAGIC, "cifs", KIND_NETWORK},
    {SMB2_SUPER_MAGIC, "smb", KIND_NETWORK},
    {CEPH_MAGIC, "ceph", KIND_NETWORK},
    {LUSTRE_MAGIC, "lustre", KIND_NETWORK},
    {GPFS_MAGIC, "gpfs", KIND_NETWORK},
    {V9FS_MAGIC, "9p", KIND_NETWORK},
    {FUSE_MAGIC, "fuse", KIND_LAYER},
    {OVERLAYFS_SUPER_MAGIC, "overlay", KIND_LAYER},
    {MSDOS_SUPER_MAGIC, "vfat", KIND_DISK},
    {EXFAT_SUPER_MAGIC, "exfat", KIND_DISK},
    {NTFS3_MAGIC, "ntfs", KIND_DISK},
};

static struct file_system kind_of(int dir_fd)
{
    struct statfs fs;

    if (fstatfs(dir_fd, &fs) != 0)
        return (struct file_system){0, "unknown", KIND_DISK};
    for (size_t i = 0; i < sizeof file_systems / sizeof file_systems[0]; i++)
        if (file_systems[i].magic == (uint32_t)fs.f_type)
            return file_systems[i];
    return (struct file_system){(uint32_t)fs.f_type, "another file system", KIND_DISK};
}

bool doctor_folder_is_memory(int dir_fd)
{
    return kind_of(dir_fd).kind == KIND_MEMORY;
}

int doctor_folder_create(struct sink *sink, int dir_fd, uint64_t bytes)
{
    char name[64];
    int r;

    snprintf(name, sizeof name, "daorec-doctor-%ld", (long)getpid());
    r = sink_create(sink, dir_fd, name, bytes, true, &sink_backend_system);
    if (r == 0 && !sink->unnamed) { /* whatever happens now, nothing stays */
        unlinkat(dir_fd, sink->temp_name, 0);
        sink->temp_name[0] = '\0';
    }
    return r;
}

/* ---- what it can ---- */

struct abilities {
    bool direct, preallocates, in_place;
};

/* As large as this process may make it (ulimit -f): record makes files as small as it must. */
static uint64_t trial_bytes(void)
{
    struct rlimit limit;
    uint64_t bytes = TRIAL_BYTES;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes)
        bytes = limit.rlim_cur - limit.rlim_cur % SINK_PAGE;
    return bytes > SINK_PAGE ? bytes : SINK_PAGE;
}

static int try_file(int dir_fd, enum kind kind, struct abilities *ret)
{
    struct sink sink;
    struct stat st;
    uint64_t bytes = trial_bytes();
    int flags = 0, r = doctor_folder_create(&sink, dir_fd, bytes);

    if (r < 0)
        return r;
    ret->direct = sink.direct;
    ret->preallocates = fstat(sink.fd, &st) == 0 && (uint64_t)st.st_blocks * 512 >= bytes / 2;
    ret->in_place = kind != KIND_COPIES ||
                    (ioctl(sink.fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_NOCOW_FL));
    sink_close(&sink);
    return 0;
}

static void say_unusable(struct findings *findings, const char *path, int r)
{
    char quoted[PATH_QUOTED];
    struct finding *f = findings_add(findings, "folder", FINDING_PROBLEM, "%.200s: %s%s", path,
                                     r == -ENOENT ? "is not there: record would make it, but its "
                                                    "disk cannot be looked at before"
                                                  : "cannot be recorded into: ",
                                     r == -ENOENT ? "" : strerror(-r));

    finding_quote(quoted, sizeof quoted, path);
    switch (-r) {
    case ENOENT:
        finding_remedy(f, "mkdir -p %s", quoted);
        break;
    case ENOTDIR:
        finding_remedy(f, "daorec doctor DIR # one that is a folder");
        break;
    case EACCES:
    case EPERM:
        finding_remedy(f, "sudo chown \"$USER\" %s", quoted);
        break;
    case EROFS:
        finding_remedy(f, "sudo mount -o remount,rw \"$(findmnt -nro TARGET -T %s)\"", quoted);
        break;
    case EDQUOT:
        finding_remedy(f, "quota -s # then make room, or have more granted");
        break;
    case EFBIG:
        finding_remedy(f, "ulimit -f unlimited");
        break;
    default:
        finding_remedy(f, "df -h %s # then choose another folder", quoted);
    }
}

/* Free without what is to be kept. Returns what is kept. */
static uint64_t look_at_room(struct doctor_machine *machine, int dir_fd,
                             const struct option_amount *keep, uint64_t *ret_free)
{
    struct statvfs fs;
    uint64_t kept;

    if (fstatvfs(dir_fd, &fs) != 0 || fs.f_blocks == 0) /* 0: a file system that does not tell */
        return 0;
    *ret_free = (uint64_t)fs.f_bavail * fs.f_frsize;
    kept = keep->bytes;
    if (keep->percent > 0.0)
        kept = (uint64_t)((double)fs.f_blocks * (double)fs.f_frsize * keep->percent / 100.0);
    machine->is_left_known = true;
    machine->left_bytes = *ret_free > kept ? *ret_free - kept : 0;
    return kept;
}

static const char *drawback(enum kind kind, const struct abilities *can)
{
    if (kind == KIND_MEMORY)
        return "; it lies in memory, and is gone at the next boot";
    if (kind == KIND_NETWORK)
        return "; over a network, which pauses at times: make FIFOs deep";
    if (!can->direct)
        return "; through the page cache, whose write-back comes in bursts";
    if (!can->in_place)
        return "; what is written again is copied, so that a full disk may refuse it";
    if (!can->preallocates)
        return "; a disk that fills up is found only while frames are written";
    return NULL;
}

static void say_usable(const struct doctor_context *context, struct findings *findings,
                       const char *path, const struct file_system *fs, const struct abilities *can,
                       uint64_t free_bytes, uint64_t kept)
{
    const char *but = drawback(fs->kind, can);
    char room[128] = "free room not known", have[32], keep[32];
    struct finding *f;

    if (context->machine.is_left_known)
        snprintf(room, sizeof room, "%s free, %s of it to be kept",
                 units_format_bytes(have, sizeof have, free_bytes),
                 units_format_bytes(keep, sizeof keep, kept));
    f = findings_add(findings, "folder", but ? FINDING_NOTE : FINDING_OK,
                     "%.200s: %s, %sO_DIRECT, %spreallocated, %s, %s%s", path, fs->name,
                     can->direct ? "" : "no ", can->preallocates ? "" : "not ",
                     can->in_place ? "written in place" : "copy-on-write", room, but ? but : "");
    if (but)
        finding_remedy(f, "daorec doctor DIR # one on a local disk with ext4 or xfs");
    finding_value(f, "free_bytes", context->machine.is_left_known ? (double)free_bytes : -1.0);
    finding_value(f, "kept_bytes", (double)kept);
    finding_value(f, "direct", can->direct);
    finding_value(f, "preallocated", can->preallocates);
    finding_value(f, "in_place", can->in_place);
}

int doctor_folder_look(struct doctor_context *context, const char *path,
                       const struct option_amount *keep, struct findings *findings)
{
    struct doctor_machine *machine = &context->machine;
    struct abilities can = {false, false, false};
    char have[32], kept_text[32];
    uint64_t free_bytes = 0, kept;
    struct file_system fs;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

    if (fd < 0) {
        r = -errno;
        say_unusable(findings, path, r);
        return r;
    }
    kept = look_at_room(machine, fd, keep, &free_bytes);
    fs = kind_of(fd);
    if (machine->is_left_known && machine->left_bytes < TRIAL_BYTES && kept > 0) {
        struct finding *f =
            findings_add(findings, "folder", FINDING_PROBLEM,
                         "%.200s: %s, %s free, and %s is to be kept: no room to record", path,
                         fs.name, units_format_bytes(have, sizeof have, free_bytes),
                         units_format_bytes(kept_text, sizeof kept_text, kept));

        finding_remedy(f, "make room, or record --keep-free 0");
        finding_value(f, "free_bytes", (double)free_bytes);
        finding_value(f, "kept_bytes", (double)kept);
        return fd;
    }
    r = try_file(fd, fs.kind, &can);
    machine->has_folder = r == 0;
    if (r < 0)
        say_unusable(findings, path, r);
    else
        say_usable(context, findings, path, &fs, &can, free_bytes, kept);
    return fd;
}

/* ---- who records there ---- */

static unsigned count_living(int dir_fd, unsigned levels_left, unsigned *folders_left);

/* What is below a folder, or the session that it is. */
static unsigned count_in(int parent_fd, const char *name, unsigned levels_left,
                         unsigned *folders_left)
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    unsigned count = 0;

    if (fd < 0)
        return 0;
    if (tree_session_start(name) != 0)
        count = tree_session_is_alive(fd);
    else if (levels_left > 0)
        return count_living(fd, levels_left - 1, folders_left); /* takes fd */
    close(fd);
    return count;
}

static unsigned count_living(int dir_fd, unsigned levels_left, unsigned *folders_left)
{
    DIR *dir = fdopendir(dir_fd);
    struct dirent *entry;
    unsigned count = 0;

    if (!dir) {
        close(dir_fd);
        return 0;
    }
    while (*folders_left > 0 && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
            continue;
        --*folders_left;
        count += count_in(dirfd(dir), entry->d_name, levels_left, folders_left);
    }
    closedir(dir);
    return count;
}

unsigned doctor_folder_recordings(const struct doctor_context *context, int dir_fd,
                                  struct findings *findings)
{
    unsigned folders = FOLDERS_MAX, here = 0, elsewhere = 0, count;
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* for a reading of its own */
    struct finding *f;
    struct stat st;

    if (fd >= 0)
        here = count_living(fd, 1, &folders);
    if (fstat(dir_fd, &st) == 0)
        elsewhere = system_lock_holders(context->root, "daorec", st.st_dev);
    count = here > elsewhere ? here : elsewhere;
    f = findings_add(findings, "recordings", count ? FINDING_NOTE : FINDING_OK,
                     count ? "%u run%s on this file system: the disk is shared with %s"
                           : "none runs here",
                     count, count == 1 ? "s" : "", count == 1 ? "it" : "them");
    finding_value(f, "running", count);
    return count;
}
