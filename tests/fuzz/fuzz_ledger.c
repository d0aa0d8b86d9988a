/*
 * fuzz_ledger.c - session.json, any bytes, as it is read, verified, told of files that go, and
 * rebuilt.
 *
 * What must hold: no crash, no byte read that is not there; what is refused says why and tells
 * nothing; names lead nowhere out of their folder; looking changes nothing; what can be read can be
 * read, too, once it was told that a file goes; whatever it says, a ledger that is rebuilt from it
 * balances, can be read, and needs no second rebuilding; the old one is kept as it was.
 */
#include "verify/chain.h"
#include "repair/rebuild.h"
#include "tests/fuzz/scene.h"

#define LEDGER "session.json"
#define KEPT   "session.json.before-repair"

static volatile uint64_t touched; /* so that nobody finds the reading of it needless */

/* Touch whatever it says that there is. */
static void check_stream(const struct ledger_stream *stream)
{
    const struct ledger_counts *counts = &stream->counts;
    struct chain_session session = {.ledger = stream, .is_over = true};
    struct verify_doubts doubts = {0};
    uint64_t sum = 0;

    FUZZ_MUST(strlen(stream->name) <= FITS_STREAM_NAME_MAX && !strchr(stream->name, '/') &&
              stream->name[0] != '.' && stream->name[0] != '\0');
    FUZZ_MUST(counts->run_count >= 1 && counts->shape_count >= 1);
    for (uint64_t i = 0; i + 1 < counts->run_count && i < LEDGER_RUNS_MAX; i++)
        sum += ledger_run_expected(&stream->runs[i]);
    for (uint64_t i = 0; i + 1 < counts->shape_count && i < LEDGER_SHAPES_MAX; i++)
        sum += stream->shapes[i].geometry.frame_bytes;
    for (uint64_t i = 0; i < stream->gaps_listed; i++)
        FUZZ_MUST((unsigned)stream->gaps[i].cause < LEDGER_CAUSES);
    for (size_t i = 0; i < stream->file_count; i++) {
        const struct ledger_file *file = &stream->files[i];

        FUZZ_MUST(!strchr(file->name, '/') && strlen(file->name) < TREE_FILE_BYTES);
        FUZZ_MUST(file->so_far.run_count == 0 || ledger_balances(&file->so_far));
    }
    FUZZ_MUST(!stream->removed.has_counts || ledger_balances(&stream->removed.counts));
    FUZZ_MUST(counts->shape.geometry.frame_bytes > 0);
    touched = sum;
    chain_check_ledger(NULL, &session, &doubts);
    verify_doubts_free(&doubts);
}

/* What stands beside the streams. */
static void check_beside(const struct ledger *ledger)
{
    FUZZ_MUST(ledger->mark_count <= LEDGER_MARKS_MAX);
    for (size_t i = 0; i < ledger->mark_count; i++)
        FUZZ_MUST(memchr(ledger->marks[i].text, '\0', sizeof ledger->marks[i].text));
    for (size_t i = 0; i < ledger->copy_count; i++) {
        const char *name = strchr(ledger->copies[i].name, '/');

        FUZZ_MUST(name && !strchr(name + 1, '/') && name[1] != '.' && name[1] != '\0');
        FUZZ_MUST(strlen(ledger->copies[i].sha256) == SHA256_TEXT_BYTES - 1);
    }
}

static int read_ledger(int dir_fd)
{
    struct ledger_document document;
    struct dao_text text = {""};
    int r = ledger_document_read(&document, dir_fd, &text);

    if (r < 0)
        FUZZ_MUST(text.s[0] && document.ledger.stream_count == 0 && !document.ledger.session);
    for (size_t i = 0; i < document.ledger.stream_count; i++)
        check_stream(&document.ledger.streams[i]);
    check_beside(&document.ledger);
    ledger_document_free(&document);
    return r;
}

/* The ledger of this folder, had it been told that this file goes, written into `aside`. */
static void retire_one(const struct ledger_document *document, const struct ledger_stream *stream,
                       const struct ledger_file *file, const char *aside)
{
    const struct ledger_retired old = {.name = file->name,
                                       .seq = tree_file_seq(file->name, stream->name),
                                       .so_far = file->so_far.run_count > 0 ? &file->so_far : NULL,
                                       .frames = file->frames};
    int r, dir_fd = open(aside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *json = ledger_retire_files(document->text, stream->name, &old, 1, &r);

    FUZZ_MUST(dir_fd >= 0 && (json != NULL) == (r == 0));
    if (json) {
        scene_write(aside, LEDGER, json, strlen(json));
        FUZZ_MUST(read_ledger(dir_fd) == 0);
        unlinkat(dir_fd, LEDGER, 0);
    }
    free(json);
    close(dir_fd);
}

static void retire_files(int dir_fd, const char *aside)
{
    struct ledger_document document;
    struct dao_text text;

    if (ledger_document_read(&document, dir_fd, &text) == 0)
        for (size_t i = 0; i < document.ledger.stream_count; i++) {
            const struct ledger_stream *stream = &document.ledger.streams[i];

            for (size_t k = 0; k < stream->file_count && k < 4; k++)
                retire_one(&document, stream, &stream->files[k], aside);
        }
    ledger_document_free(&document);
}

static bool has_bytes(int dir_fd, const char *name, const uint8_t *data, size_t size)
{
    size_t now_size = 0;
    uint8_t *now = scene_read(dir_fd, name, &now_size);
    bool same = now && now_size == size && memcmp(now, data, size) == 0;

    free(now);
    return same;
}

static void rebuild_twice(const char *session, int dir_fd, const uint8_t *data, size_t size)
{
    struct rebuild would, did, again;

    rebuild_ledger(&would, session, REBUILD_ANYWAY, NULL);
    FUZZ_MUST(has_bytes(dir_fd, LEDGER, data, size));
    rebuild_ledger(&did, session, REBUILD_ANYWAY | REBUILD_APPLY, NULL);
    FUZZ_MUST(did.verdict == would.verdict && did.verdict != REBUILD_OWNED);
    FUZZ_MUST(did.expected == did.recorded + did.lost);
    if (did.verdict != REBUILD_WRITE) {
        FUZZ_MUST(has_bytes(dir_fd, LEDGER, data, size));
        FUZZ_MUST(did.verdict == REBUILD_NOTHING || did.text.s[0]);
        return;
    }
    FUZZ_MUST(has_bytes(dir_fd, KEPT, data, size));
    FUZZ_MUST(read_ledger(dir_fd) == 0);
    rebuild_ledger(&again, session, REBUILD_ANYWAY | REBUILD_APPLY, NULL);
    FUZZ_MUST(again.verdict == REBUILD_NOTHING);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scene scene;
    int dir_fd;

    scene_begin(&scene);
    scene_write(scene.session, LEDGER, data, size);
    dir_fd = open(scene.session, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FUZZ_MUST(dir_fd >= 0);
    read_ledger(dir_fd);
    retire_files(dir_fd, scene.stream);
    rebuild_twice(scene.session, dir_fd, data, size);
    close(dir_fd);
    scene_end(&scene);
    return 0;
}

/* ---- mutations ---- */

/* One value for another: the piece of `size` bytes at `at` becomes `text`. */
static size_t replace(uint8_t *data, size_t size, size_t max_size, size_t at, size_t old,
                      const char *text)
{
    size_t length = strlen(text);

    if (size - old + length > max_size)
        return size;
    memmove(data + at + length, data + at + old, size - at - old);
    memcpy(data + at, text, length);
    return size - old + length;
}

/* Mostly a value becomes another one, since few other changes leave it a ledger. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static const char *const values[] = {"null", "true",           "[]",         "{}",
                                         "\"\"", "\"s\"",          "\"../x\"",   "\"s/../../x\"",
                                         "1e9",  "\"disk\"",       "[[[]]",      "\"int8\"",
                                         "-1",   "\"2026-02-30\"", "{\"a\": 1}", "[1, 2]"};
    uint64_t state = seed * 2654435761ull + 1;
    size_t at = size ? fuzz_next(&state) % size : 0, end;
    char number[32];

    if (size < 40 || fuzz_next(&state) % 4 == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    while (at < size && data[at] != ':')
        at++;
    while (at < size && (data[at] == ':' || data[at] == ' '))
        at++;
    for (end = at; end < size && !memchr(",}]\n", data[end], 4);)
        end++;
    if (end >= size)
        return LLVMFuzzerMutate(data, size, max_size);
    snprintf(number, sizeof number, "%lld", (long long)fuzz_odd_number(&state));
    return replace(data, size, max_size, at, end - at,
                   fuzz_next(&state) % 3
                       ? number
                       : values[fuzz_next(&state) % (sizeof values / sizeof *values)]);
}
