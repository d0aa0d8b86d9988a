/* disk.c - see disk.h. */
#include "record/disk.h"

#include "base/log.h"
#include "base/units.h"

#define LEDGER_NS 1000000000ll

void disk_write_ledger(struct disk *disk)
{
    atomic_store(&disk->is_asked, false); /* what is lost from here on is for the next one */
    books_write(disk->books);
}

static void look_at_ledger(struct disk *disk, int64_t now_ns)
{
    bool is_first = disk->written_ns == 0;

    if (atomic_load(&disk->is_asked) || (!is_first && now_ns - disk->written_ns < LEDGER_NS) ||
        (!is_first && !books_is_behind(disk->books)))
        return;
    disk->written_ns = now_ns;
    atomic_store(&disk->is_asked, true);
    keeper_post(disk->keeper, KEEPER_LEDGER, NULL);
}

/* Once a stream has found no room for its next file, all end: a clean end beats a full disk. */
static bool has_run_out(struct disk *disk)
{
    bool ran_out = false;

    room_look(disk->room, disk->dir_fd);
    for (unsigned i = 0; i < disk->count; i++)
        ran_out = ran_out || atomic_load(&disk->streams[i]->ran_out);
    return ran_out;
}

const char *disk_look(struct disk *disk, int64_t now_ns)
{
    char kept[32];

    look_at_ledger(disk, now_ns);
    if (!has_run_out(disk) || disk->has_ended)
        return NULL;
    disk->has_ended = true;
    disk->books->failed = true;
    log_error("%s: no room for another file beside the %s to be kept free: the recording ends "
              "here; make room, or lower --keep-free",
              disk->root, units_format_bytes(kept, sizeof kept, room_kept(disk->room)));
    return "ERROR";
}
