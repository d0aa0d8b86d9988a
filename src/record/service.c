/* service.c - see service.h. */
#include "record/service.h"

#include <stdio.h>

#include "base/log.h"
#include "base/units.h"

#define STATUS_NS 5000000000ll

void service_open(struct service *service)
{
    *service = (struct service){.notify = {.fd = -1}};
    notify_open(&service->notify);
}

void service_close(struct service *service)
{
    notify_close(&service->notify);
}

/* ---- progress ---- */

static bool is_late(struct pulse *pulse, const char *what, const char *of, int64_t most_ns,
                    int64_t now_ns, char *text, size_t text_bytes)
{
    int64_t still_ns = pulse_look(pulse, now_ns);
    char span[32];

    if (still_ns <= most_ns)
        return false;
    snprintf(text, text_bytes, "%s%s has not moved for %s", what, of,
             units_format_duration(span, sizeof span, still_ns));
    return true;
}

/* All of them are looked at each time, so that each knows when it moved last. */
bool service_find_stuck(struct service *service, int64_t most_ns, int64_t now_ns, char *text,
                        size_t text_bytes)
{
    struct writer *writer = service->writer;
    bool found = false;

    for (unsigned i = 0; i < service->count; i++) {
        struct record_stream *s = service->streams[i];

        found |= is_late(&s->pulse, "the drain of ", s->name, most_ns, now_ns, text, text_bytes);
        found |= is_late(&s->disk_pulse, "what the disk was given of ", s->name, most_ns, now_ns,
                         text, text_bytes);
    }
    if (!writer)
        return found;
    found |= is_late(&writer->pulse, "the writer", "", most_ns, now_ns, text, text_bytes);
    found |=
        is_late(&writer->opener->pulse, "what opens files", "", most_ns, now_ns, text, text_bytes);
    found |=
        is_late(&writer->closer->pulse, "what closes files", "", most_ns, now_ns, text, text_bytes);
    return found;
}

/* ---- what is told ---- */

static void feed(struct service *service, int64_t now_ns)
{
    if (service->notify.watchdog_ns == 0 ||
        (service->fed_ns && now_ns - service->fed_ns < service->notify.watchdog_ns / 4))
        return;
    service->fed_ns = now_ns;
    notify_send(&service->notify, "WATCHDOG=1");
}

bool service_is_due(const struct service *service, int64_t now_ns)
{
    return service->notify.fd >= 0 && !service->is_stopping &&
           (!service->is_ready || now_ns - service->told_ns >= STATUS_NS);
}

static void tell(struct service *service, const char *line, int64_t now_ns)
{
    if (!service_is_due(service, now_ns))
        return;
    notify_send(&service->notify, "%sSTATUS=%s", service->is_ready ? "" : "READY=1\n", line);
    service->is_ready = true;
    service->told_ns = now_ns;
}

void service_wait(struct service *service, const char *line, int64_t now_ns)
{
    if (service->notify.fd < 0 || service->is_stopping)
        return;
    if (line != service->waits_for) /* this is told at once */
        service->told_ns = now_ns - STATUS_NS;
    service->waits_for = line;
    tell(service, line, now_ns);
    feed(service, now_ns);
}

void service_look(struct service *service, const char *line, int64_t now_ns)
{
    char text[160];
    bool is_stuck;

    if (service->notify.fd < 0 || service->is_stopping)
        return;
    is_stuck =
        service->notify.watchdog_ns > 0 &&
        service_find_stuck(service, service->notify.watchdog_ns / 2, now_ns, text, sizeof text);
    if (is_stuck && !service->is_stuck) {
        log_warning("%s: the service manager's watchdog is not fed", text);
        service->told_ns = now_ns - STATUS_NS; /* this is told at once */
    } else if (!is_stuck && service->is_stuck) {
        log_info("everything moves again: the watchdog is fed");
    }
    service->is_stuck = is_stuck;
    service->waits_for = NULL;
    tell(service, is_stuck ? text : line, now_ns);
    if (!is_stuck)
        feed(service, now_ns);
}

void service_stop(struct service *service)
{
    if (service->is_stopping)
        return;
    service->is_stopping = true;
    notify_send(&service->notify, "STOPPING=1\nSTATUS=finishing the files");
}
