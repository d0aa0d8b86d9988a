/*
 * field_reader.c - a program that follows a segment by the habits met at telescopes, and is judged.
 *
 *     field_reader PATH --until CNT [--stall-every N --stall-us US] [--poll-us US] [--report-only]
 *
 * It trusts the head: there is nothing new while the tail is at the head's slot and count. The next
 * frame is in the slot after the tail; where its count is not the tail's plus one, the tail was
 * overwritten, and it goes to the head's slot, whatever count that bears. After the copy it looks
 * once at write and cnt0. Plain loads, kept in this order by compiler barriers only. It shares
 * nothing with the library but the structures in dao.h.
 *
 * Waits until the segment is there, maps it read-only, prints "attached", follows it until the
 * frame with the count CNT, and prints the figures of judge.h in one line. Exit status 1: a frame
 * repeated or a false overwrite, which at depth 2 and more must not be with a writer that stamps
 * before it publishes; with --report-only (for writers that do not) never.
 */
#include <fcntl.h>
#include <getopt.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "tests/support/judge.h"

#define IN_THIS_ORDER() __asm__ volatile("" ::: "memory")

#define APPEAR_US 10000000u
#define LOOK_US   1000u

struct options {
    const char *path;
    uint64_t until, stall_every, stall_us, poll_us;
    bool report_only;
};

struct field_reader {
    IMAGE_METADATA *md;
    const unsigned char *pixels;
    uint64_t frame_bytes, map_bytes;
    uint32_t depth;
    uint32_t slot; /* the tail */
    uint64_t cnt0;
};

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: field_reader PATH --until CNT [--stall-every N --stall-us US]\n"
                    "    [--poll-us US] [--report-only]\n");
    exit(2);
}

static void parse_options(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {
        {"until", 1, NULL, 'u'},   {"stall-every", 1, NULL, 'e'}, {"stall-us", 1, NULL, 's'},
        {"poll-us", 1, NULL, 'p'}, {"report-only", 0, NULL, 'r'}, {0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        uint64_t number = optarg ? strtoull(optarg, NULL, 0) : 0;

        switch (c) {
        case 'u':
            o->until = number;
            break;
        case 'e':
            o->stall_every = number;
            break;
        case 's':
            o->stall_us = number;
            break;
        case 'p':
            o->poll_us = number;
            break;
        case 'r':
            o->report_only = true;
            break;
        default:
            usage();
        }
    }
    if (optind != argc - 1 || o->until == 0)
        usage();
    o->path = argv[optind];
}

/* ---- the segment ---- */

/* False: not there yet, or not filled in, creation_time last. */
static bool try_map(struct field_reader *r, const char *path)
{
    int fd = open(path, O_RDONLY);
    struct stat st;
    void *map = MAP_FAILED;

    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && st.st_size > (off_t)sizeof *r->md)
        map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        return false;
    r->md = map;
    r->map_bytes = (uint64_t)st.st_size;
    if (__atomic_load_n((const uint64_t *)(const void *)&r->md->creation_time, __ATOMIC_ACQUIRE))
        return true;
    munmap(map, r->map_bytes);
    return false;
}

static void attach(struct field_reader *r, const char *path)
{
    for (uint64_t us = 0; !try_map(r, path); us += LOOK_US) {
        if (us >= APPEAR_US) {
            fprintf(stderr, "field_reader: no segment has come\n");
            exit(1);
        }
        judge_sleep_us(LOOK_US);
    }
    r->depth = r->md[0].fifo_size;
    r->pixels = (const unsigned char *)r->md + r->depth * sizeof *r->md;
    r->frame_bytes = r->md[0].nelement * ramp_types[r->md[0].atype].bytes;
    r->slot = r->md[0].fifo_last_written;
    r->cnt0 = r->md[r->slot].cnt0;
}

/* ---- the habits ---- */

enum answer { NOTHING_NEW, THE_NEXT, OVERWRITTEN };

static enum answer get_next(struct field_reader *r)
{
    uint32_t head = r->md[0].fifo_last_written, next = (r->slot + 1) % r->depth;
    enum answer answer = THE_NEXT;

    IN_THIS_ORDER();
    if (head == r->slot && r->md[head].cnt0 == r->cnt0)
        return NOTHING_NEW;
    IN_THIS_ORDER();
    if (r->md[next].cnt0 != r->cnt0 + 1) {
        next = head;
        answer = OVERWRITTEN;
    }
    IN_THIS_ORDER();
    r->slot = next;
    r->cnt0 = r->md[next].cnt0;
    IN_THIS_ORDER();
    return answer;
}

static bool is_overwritten(const struct field_reader *r)
{
    bool is_being_written = r->md[r->slot].write != 0;

    IN_THIS_ORDER();
    return is_being_written || r->md[r->slot].cnt0 != r->cnt0;
}

static bool take(struct field_reader *r, struct judge *j)
{
    enum answer answer = get_next(r);

    if (answer == NOTHING_NEW)
        return false;
    judge_frame(j, r->cnt0, answer == OVERWRITTEN);
    memcpy(j->copy, r->pixels + r->slot * r->frame_bytes, r->frame_bytes);
    IN_THIS_ORDER();
    judge_copy(j, r->cnt0, is_overwritten(r));
    return true;
}

int main(int argc, char **argv)
{
    struct options o = {.poll_us = 20};
    struct field_reader r;
    struct judge j;
    bool is_good;

    parse_options(&o, argc, argv);
    prctl(PR_SET_TIMERSLACK, 1000ul);
    attach(&r, o.path);
    judge_init(&j, r.md, r.cnt0, false);
    puts("attached");
    fflush(stdout);
    while (j.last < o.until) {
        if (!take(&r, &j))
            judge_sleep_us(o.poll_us);
        else if (o.stall_every && j.taken % o.stall_every == 0)
            judge_sleep_us(o.stall_us);
    }
    judge_print(&j, "field");
    /* Not j.silent: the count can change between its own two loads, whoever writes. */
    is_good = o.report_only || (j.repeated == 0 && j.false_lapped == 0 && j.false_refused == 0);
    if (!is_good)
        fprintf(stderr, "field_reader: misled\n");
    judge_fini(&j);
    munmap(r.md, r.map_bytes);
    return !is_good;
}
