/* disk.c - see disk.h. */
#include "record/disk.h"

#include "base/log.h"
#include "base/units.h"

#define LEDGER_NS    1000000000ll
#define RETENTION_NS 2000000000ll

void disk_write_ledger(struct disk *disk)
{
    atomic_store(&disk->is_asked, false); /* what is lost from here on is for the next one */
    books_catch_up(disk->books);
}

void disk_look_at_retention(struct disk *disk)
{
    retention_look(disk->retention);
    atomic_store(&disk->is_retention_asked, false);
}

void disk_sweep(struct disk *disk)
{
    retention_sweep(disk->retention);
    atomic_store(&disk->is_sweep_asked, false);
}

static void look_at_retention(struct disk *disk, int64_t now_ns)
{
    if (!disk->retention)
        return;
    if (now_ns - disk->retention_ns >= RETENTION_NS &&
        !atomic_exchange(&disk->is_retention_asked, true)) {
        disk->retention_ns = now_ns;
        keeper_post(disk->opener, KEEPER_RETENTION, NULL);
    }
    if (retention_has_to_sweep(disk->retention) && !atomic_exchange(&disk->is_sweep_asked, true))
        keeper_post(disk->keeper, KEEPER_SWEEP, NULL);
}

void disk_ask_for_ledger(struct disk *disk)
{
    if (!atomic_exchange(&disk->is_asked, true)) /* else it is not begun yet */
        keeper_post(disk->keeper, KEEPER_LEDGER, NULL);
}

static void look_at_ledger(struct disk *disk, int64_t now_ns)
{
    if (atomic_load(&disk->is_asked) || now_ns - disk->written_ns < LEDGER_NS ||
        !books_is_behind(disk->books))
        return;
    disk->written_ns = now_ns;
    atomic_store(&disk->is_asked, true);
    keeper_post(disk->keeper, KEEPER_LEDGER, NULL);
}

static bool has_run_out(struct disk *disk)
{
    bool ran_out = false;

    room_look(disk->room, disk->dir_fd);
    for (unsigned i = 0; i < disk->count; i++)
        ran_out = ran_out || atomic_load(&disk->streams[i]->ran_out);
    return ran_out;
}

/* Nothing can be put into a folder that was removed, and it does not come back. */
static const char *end_without_folder(const struct disk *disk)
{
    log_error("%s/%s: the session's folder was removed: what was not closed in it is lost to the "
              "disk, and the recording ends here; record anew",
              disk->root, disk->session);
    return "ERROR";
}

/* Once a stream has found no room for its next file, all end: a clean end beats a full disk. The
 * files are as whole as after any end that was asked for. */
static const char *end_for_room(const struct disk *disk)
{
    char kept[32];

    log_error("%s: no room for another file beside the %s to be kept free: the recording ends "
              "here; make room, or lower --keep-free",
              disk->root, units_format_bytes(kept, sizeof kept, room_kept(disk->room)));
    return "STOP";
}

/* Every frame up to here is there; what else there is of the policy is in overload.h. Of a stream
 * whose end somebody has asked for before, or its time, what was there then is wanted. */
static const char *end_for_overload(const struct disk *disk)
{
    for (unsigned i = 0; i < disk->count; i++) {
        struct record_stream *s = disk->streams[i];

        if (!atomic_load(&s->stop_requested) && !atomic_load(&s->is_stopping))
            atomic_store(&s->all_end_for_overload, true);
        if (atomic_load(&s->overloaded))
            log_error("stream %s: the disk does not keep up, and memory and FIFO are full: the "
                      "recording ends here before a frame is lost, by the overload policy",
                      s->name);
    }
    return "STOP";
}

static bool is_overloaded(const struct disk *disk)
{
    bool overloaded = false;

    for (unsigned i = 0; i < disk->count; i++)
        overloaded = overloaded || atomic_load(&disk->streams[i]->overloaded);
    return overloaded;
}

const char *disk_look(struct disk *disk, int64_t now_ns)
{
    bool overloaded = is_overloaded(disk);
    bool is_gone = tree_is_gone(disk->dir_fd), ran_out = has_run_out(disk);

    if (!is_gone)
        look_at_ledger(disk, now_ns);
    if (!is_gone)
        look_at_retention(disk, now_ns);
    if (disk->has_ended || (!is_gone && !ran_out && !overloaded))
        return NULL;
    disk->has_ended = true;
    disk->books->failed = true;
    return is_gone      ? end_without_folder(disk)
           : overloaded ? end_for_overload(disk)
                        : end_for_room(disk);
}
