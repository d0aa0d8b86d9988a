/* pairing.c - see pairing.h. */
#include "measure/pairing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "base/units.h"
#include "measure/align.h"

/* A series' times, one row after the other. */
struct walk {
    const struct series *series;
    struct series_reader *reader;
    const bool *left_out; /* by member */
    size_t member;        /* of the next row, or one before it */
    uint64_t next, end;   /* end: of the rows that can be read on without a look at members */
    struct dao_text *text;
};

/* Past what is left out. */
static void find_member(struct walk *walk)
{
    for (; walk->next >= walk->end && walk->member < series_member_count(walk->series);
         walk->member++) {
        struct series_member member = series_member_at(walk->series, walk->member);

        if (walk->left_out && walk->left_out[walk->member])
            walk->next = member.first + member.frames;
        else
            walk->end = member.first + member.frames;
    }
}

static int next_frame(void *ctx, struct align_frame *ret)
{
    struct walk *walk = ctx;
    struct fits_row row;
    int r;

    if (walk->next >= walk->end)
        find_member(walk);
    if (walk->next >= walk->series->frames)
        return 0;
    r = series_reader_row(walk->reader, walk->next, &row, walk->text);
    if (r < 0)
        return r;
    *ret = (struct align_frame){.atime_ns = row.flags & FITS_FLAG_BADTIME ? 0 : row.atime_ns,
                                .cnt0 = row.cnt0,
                                .index = walk->next};
    walk->next++;
    return 1;
}

static int align_series(struct align *align, const struct pairing *pairing, struct dao_text *text)
{
    struct walk walks[] = {
        {.series = pairing->a, .left_out = pairing->left_out_a, .text = text},
        {.series = pairing->b, .left_out = pairing->left_out_b, .text = text},
    };
    struct align_source sources[] = {{next_frame, &walks[0]}, {next_frame, &walks[1]}};
    int r = series_reader_open(&walks[0].reader, pairing->a, 0, text);

    if (r == 0)
        r = series_reader_open(&walks[1].reader, pairing->b, 0, text);
    if (r == 0)
        r = align_run(align, &sources[0], &sources[1]);
    series_reader_close(walks[0].reader);
    series_reader_close(walks[1].reader);
    return r;
}

static void print(const struct align *align, const struct series *a, const struct series *b)
{
    char text[REPORT_NS_BYTES], utc[48];
    uint64_t listed =
        align->stretch_count < align->stretches_most ? align->stretch_count : align->stretches_most;

    printf("%s and %s, within %s\n", a->stream, b->stream,
           report_format_ns(text, align->tolerance_ns, 4));
    printf("  partners    %" PRIu64 " of %" PRIu64 " frames of %s have one in %s\n", align->matched,
           align->frames, a->stream, b->stream);
    if (align->alone)
        printf("  alone       %" PRIu64 ", of these %" PRIu64 " before or behind all of %s\n",
               align->alone, align->outside, b->stream);
    if (align->untimed_a || align->untimed_b)
        printf("  bad times   %" PRIu64 " frames of %s and %" PRIu64 " of %s are not looked at\n",
               align->untimed_a, a->stream, align->untimed_b, b->stream);
    report_print_table_head(stdout);
    report_print_spread(stdout, "offset", &align->offset);
    for (uint64_t i = 0; i < listed; i++) {
        const struct align_stretch *s = &align->stretches[i];

        printf("  alone       %s  %" PRIu64 " frame%s from count %" PRId64 " on\n",
               units_format_utc(utc, sizeof utc, s->atime_ns, 6), s->count, units_plural(s->count),
               s->first_cnt0);
    }
    if (align->stretch_count > listed)
        printf("  ... and %" PRIu64 " more (--gaps N lists N)\n", align->stretch_count - listed);
}

static json_t *to_json(const struct align *align, const struct series *a, const struct series *b,
                       bool with_histogram)
{
    uint64_t listed =
        align->stretch_count < align->stretches_most ? align->stretch_count : align->stretches_most;
    json_t *object = json_object(), *list = json_array();

    json_object_set_new(object, "a", json_text_value(a->stream));
    json_object_set_new(object, "b", json_text_value(b->stream));
    json_object_set_new(object, "uuid", a->uuid[0] ? json_text_value(a->uuid) : json_null());
    json_object_set_new(object, "tolerance_ns", json_integer(align->tolerance_ns));
    json_object_set_new(object, "frames", report_integer(align->frames));
    json_object_set_new(object, "matched", report_integer(align->matched));
    json_object_set_new(object, "alone", report_integer(align->alone));
    json_object_set_new(object, "outside", report_integer(align->outside));
    json_object_set_new(object, "untimed_a", report_integer(align->untimed_a));
    json_object_set_new(object, "untimed_b", report_integer(align->untimed_b));
    json_object_set_new(object, "offset_ns", report_spread(&align->offset, with_histogram));
    for (uint64_t i = 0; i < listed; i++) {
        const struct align_stretch *s = &align->stretches[i];

        json_array_append_new(
            list, json_pack("{s:I, s:I, s:o}", "first_cnt0", (json_int_t)s->first_cnt0, "count",
                            (json_int_t)s->count, "time", report_utc(s->atime_ns)));
    }
    json_object_set_new(object, "list", list);
    json_object_set_new(object, "list_left_out", report_integer(align->stretch_count - listed));
    return object;
}

int pairing_run(const struct pairing *pairing, struct dao_text *text)
{
    struct align *align = calloc(1, sizeof *align);
    int r = align ? 0 : -ENOMEM;

    if (pairing->tolerance_ns <= 0) {
        snprintf(text->s, sizeof text->s,
                 "the frames of %.100s have no intervals: give a --tolerance", pairing->b->stream);
        free(align);
        return -EINVAL;
    }
    if (r == 0) {
        align->tolerance_ns = pairing->tolerance_ns;
        align->stretches_most = pairing->report->gaps;
        align->stretches = calloc(align->stretches_most + 1, sizeof *align->stretches);
        r = align->stretches ? 0 : -ENOMEM;
    }
    if (r < 0)
        snprintf(text->s, sizeof text->s, "%s", strerror(-r));
    if (r == 0)
        r = align_series(align, pairing, text);
    if (r == 0 && pairing->report->json)
        json_array_append_new(pairing->list,
                              to_json(align, pairing->a, pairing->b, pairing->report->histogram));
    else if (r == 0)
        print(align, pairing->a, pairing->b);
    if (align)
        free(align->stretches);
    free(align);
    return r;
}
