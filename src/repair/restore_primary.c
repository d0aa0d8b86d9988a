/* restore_primary.c - the primary header as it should be. Its values are settled in
 * restore_values.c. See restore_parts.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "repair/restore_parts.h"

const char *const restore_optional_keys[RESTORE_OPTIONAL] = {"BUNIT",    "ORIGIN",   "TELESCOP",
                                                             "INSTRUME", "OBSERVER", "OBJECT"};

/* Closing writes them anew, whatever they say. */
static const char free_keys[] = " DATE DATE-END MJD-END NEXTFILE NFRAMES CNT0END FPS NLOST"
                                " NGAPS NTORN SESLOST CHECKSUM DATASUM ";

/* ---- building ---- */

static const char *or_none(const char *text)
{
    return text[0] ? text : NULL;
}

/* RECVERS is that of whoever wrote the file. */
static void put_version(struct fits_bytes *header, const char *version)
{
    int at = restore_find(header, "RECVERS");
    char quoted[FITS_FLIPS_TEXT + 4], card[200];

    if (at < 0)
        return;
    snprintf(quoted, sizeof quoted, "'%-8s'", version);
    snprintf(card, sizeof card, "%-8s= %-20s / %-60s", "RECVERS", quoted, "its version");
    memcpy(header->data + (size_t)at * FITS_CARD_BYTES, card, FITS_CARD_BYTES);
}

static int build(struct fits_bytes *ret, const struct restore_draft *draft)
{
    struct fits_facts facts = {
        .geometry = &draft->geometry,
        .stream = draft->stream,
        .bunit = or_none(draft->optional[0]),
        .host = draft->host,
        .session = draft->uuid,
        .shm_path = draft->segment,
        .origin = or_none(draft->optional[1]),
        .telescope = or_none(draft->optional[2]),
        .instrument = or_none(draft->optional[3]),
        .observer = or_none(draft->optional[4]),
        .object = or_none(draft->optional[5]),
        .keywords = draft->keywords,
        .keyword_count = draft->keyword_count,
    };
    struct dao_text text;
    int r = fits_build_primary(ret, &facts, &draft->state, NULL, &text);

    if (r == 0)
        put_version(ret, draft->version);
    return r;
}

static bool is_printable(const char *text)
{
    while (*text >= ' ' && *text <= '~')
        text++;
    return *text == '\0';
}

/* Values that are good enough for the keywords to be the right ones. A long SHMNAME goes over
 * several cards. */
static void begin_draft(struct restore_draft *draft, const struct fits_bytes *bytes,
                        const struct witness *witness, const struct dao_geometry *geometry)
{
    *draft = (struct restore_draft){.geometry = *geometry};
    draft->state = (struct fits_state){.planes = 1,
                                       .begin_ns = 1,
                                       .written_ns = 1,
                                       .previous = "",
                                       .next = "",
                                       .end_cause = "",
                                       .status = "OPEN"};
    draft->geometry.depth = geometry->depth ? geometry->depth : 1;
    strcpy(draft->host, "-");
    strcpy(draft->uuid, "-");
    strcpy(draft->version, DAOREC_VERSION);
    strcpy(draft->stream, witness->stream[0] ? witness->stream : "-");
    if (fits_card_text(bytes, "SHMNAME", draft->segment, sizeof draft->segment) < 0 ||
        draft->segment[0] == '\0' || !is_printable(draft->segment))
        snprintf(draft->segment, sizeof draft->segment, "%s",
                 witness->ledger ? witness->ledger->shm_path : "-");
    for (size_t i = 0; i < RESTORE_OPTIONAL; i++)
        if (fits_card_find(bytes, restore_optional_keys[i]) ||
            (witness->before.unit_count > 0 &&
             fits_card_find(&witness->before.unit[READING_CUBE].header, restore_optional_keys[i])))
            strcpy(draft->optional[i], "-");
}

int restore_model_primary(struct fits_bytes *ret, const struct fits_bytes *bytes,
                          const struct witness *witness, const struct dao_geometry *geometry)
{
    struct restore_draft *draft = malloc(sizeof *draft);
    int r = draft ? 0 : -ENOMEM;

    if (r == 0) {
        begin_draft(draft, bytes, witness, geometry);
        r = build(ret, draft);
    }
    free(draft);
    return r;
}

int restore_primary(struct restore_look *look, const struct witness_rows *rows)
{
    struct restore_header *header = &look->ret->header[READING_CUBE];
    struct restore_job *job = calloc(1, sizeof *job);
    struct fits_bytes model = {0};
    int r = job ? 0 : -ENOMEM;

    if (r == 0) {
        job->witness = &look->witness;
        job->rows = rows;
        job->bytes = &header->bytes;
        job->text = look->text;
        begin_draft(&job->draft, &header->bytes, &look->witness, &look->geometry);
        r = build(&job->model, &job->draft);
    }
    if (r == 0) {
        restore_align(&job->model, &header->bytes, job->map);
        r = restore_settle(job);
    }
    if (r == 0) {
        job->draft.state.planes = look->planes;
        job->draft.keywords = look->keywords;
        job->draft.keyword_count = look->keyword_count;
        r = build(&model, &job->draft);
    }
    if (r == 0)
        r = restore_mend(look->ret, header, &model, free_keys, "", look->text);
    fits_bytes_free(&model);
    if (job)
        fits_bytes_free(&job->model);
    free(job);
    return r;
}
