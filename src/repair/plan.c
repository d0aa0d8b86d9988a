/* plan.c - what repair would do with a file, for those who only tell it. See repair.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "recording/find.h"
#include "repair/repair.h"

int repair_plan(struct repair_file *ret, const char *path)
{
    char folder[4096];
    int dir_fd, r;

    find_folder_of(path, folder, sizeof folder);
    dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        *ret = (struct repair_file){.verdict = REPAIR_REFUSED};
        r = -errno;
        snprintf(ret->text.s, sizeof ret->text.s, "%s", strerror(-r));
        return r;
    }
    r = repair_file(ret, dir_fd, find_base_of(path), false, &sink_backend_system, NULL);
    close(dir_fd);
    return r;
}

void repair_describe(const struct repair_file *plan, char *ret, size_t ret_bytes)
{
    char cards[240] = "";

    if (plan->restored > 0)
        snprintf(cards, sizeof cards, ", and restores what is damaged in its headers (%s)",
                 plan->cards);
    switch (plan->verdict) {
    case REPAIR_CLOSE:
        snprintf(ret, ret_bytes,
                 "unfinished, and no recorder holds it; daorec repair finishes it with %llu "
                 "frame%s%s",
                 (unsigned long long)plan->frames, units_plural(plan->frames), cards);
        break;
    case REPAIR_RENAME:
        snprintf(ret, ret_bytes, "complete but for its name; daorec repair gives it that%s", cards);
        break;
    case REPAIR_UNNAME:
        snprintf(ret, ret_bytes, "a second name of %s; daorec repair drops it", plan->final_name);
        break;
    case REPAIR_OWNED:
        snprintf(ret, ret_bytes, "unfinished; %s", plan->text.s);
        break;
    default:
        snprintf(ret, ret_bytes, "daorec repair does not finish it: %s", plan->text.s);
        break;
    }
}
