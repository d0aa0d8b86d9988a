/*
 * verify_tree.c - daorec verify, folders: the files of each stream in their order, then the ledger
 * of their session. See verify_tree.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/verify_tree.h"
#include "recording/copies.h"
#include "verify/chain.h"

#define UNREAD_BYTES 250 /* of a path that is kept */

/* A session, or the only folder there is. */
struct session {
    const char *path, *root; /* root: the argument it lies below */
    bool is_in_scope;        /* its ledger is asked for, too */
    bool is_whole;           /* in scope, and a session by its ledger or its name */
    struct chain *chains;
    size_t count;
    struct ledger_document document;
    const struct ledger *ledger; /* NULL: none that could be used */
    bool is_alive;
};

/* ---- one folder ---- */

static void free_chain(struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        verify_file_free(&chain->files[i]);
    free(chain->files);
    *chain = (struct chain){0};
}

/* A folder's own name, also where the path does not end with it. */
static void name_folder(const char *path, char *ret, size_t ret_bytes)
{
    const char *name = find_base_of(path);
    char whole[4096];

    if ((strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || name[0] == '\0') &&
        realpath(path, whole))
        name = find_base_of(whole);
    snprintf(ret, ret_bytes, "%s", name);
}

/* False: it is not there any more. */
static bool look_at_file(struct verify_run *run, const char *path, struct verify_file *ret)
{
    uint64_t doubts;

    if (!verify_check_file(run, path, path, true, ret))
        return false;
    /* What one file says is printed; what is kept of a thousand is small. */
    doubts = ret->doubts.count;
    verify_doubts_free(&ret->doubts);
    ret->doubts.count = doubts;
    return true;
}

/* Does it lead to a file below the same argument, which is looked at under its own name? */
static bool leads_inside(const char *path, const char *root)
{
    char target[4096], whole[4096];
    struct stat st;
    size_t length;

    if (!realpath(path, target) || !realpath(root, whole) || stat(target, &st) != 0 ||
        !S_ISREG(st.st_mode))
        return false;
    length = strlen(whole);
    return strncmp(target, whole, length) == 0 && (length == 1 || target[length] == '/');
}

/* As everywhere in a tree it is not followed: it may lead anywhere. */
static void look_at_link(struct verify_run *run, const char *path, const char *root,
                         struct verify_file *ret)
{
    struct verify_doubts doubts = {0};

    *ret = (struct verify_file){.state = VERIFY_LINK};
    verify_note_name(ret, path);
    run->recordings++;
    if (leads_inside(path, root))
        return;
    verify_doubts_add(&doubts, -1, "is a link, which is not followed here; give it by itself");
    verify_print_whole(run, path, "link", &doubts);
}

/* A pipe, a device: no recorder has made it, and the next one of that name cannot be made. */
static void look_at_odd(struct verify_run *run, const char *path)
{
    struct verify_doubts doubts = {0};

    run->recordings++;
    verify_doubts_add(&doubts, -1, "is not a regular file; move it away");
    verify_print_whole(run, path, "file", &doubts);
}

static int look_at_folder(struct verify_run *run, const struct find_folder *folder,
                          const char *root, struct chain *ret)
{
    size_t count = folder->name_count + folder->link_count;

    *ret = (struct chain){.path = folder->path};
    name_folder(folder->path, ret->name, sizeof ret->name);
    ret->files = calloc(count ? count : 1, sizeof *ret->files);
    if (!ret->files)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        bool is_link = i >= folder->name_count;
        const char *name = is_link ? folder->links[i - folder->name_count] : folder->names[i];
        char path[4096];

        if (snprintf(path, sizeof path, "%s/%s", folder->path, name) >= (int)sizeof path)
            continue;
        if (is_link)
            look_at_link(run, path, root, &ret->files[ret->count++]);
        else if (look_at_file(run, path, &ret->files[ret->count]))
            ret->count++;
    }
    for (size_t i = 0; i < folder->odd_count; i++) {
        char path[4096];

        if (snprintf(path, sizeof path, "%s/%s", folder->path, folder->odd[i]) < (int)sizeof path)
            look_at_odd(run, path);
    }
    return 0;
}

/* ---- a session ---- */

static bool has_recordings(const struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        if (chain->files[i].state >= VERIFY_FINISHED)
            return true;
    return false;
}

static bool is_being_written(const struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        if (chain->files[i].state == VERIFY_BEING_WRITTEN)
            return true;
    return false;
}

static const struct ledger_stream *find_stream(const struct session *session, const char *name)
{
    for (size_t i = 0; session->ledger && i < session->ledger->stream_count; i++)
        if (strcmp(session->ledger->streams[i].name, name) == 0)
            return &session->ledger->streams[i];
    return NULL;
}

/* The folder with this stream; of several the one that is named for it. */
static struct chain *find_chain(const struct session *session, const char *stream)
{
    struct chain *found = NULL;

    for (size_t i = 0; i < session->count; i++)
        if (strcmp(session->chains[i].stream, stream) == 0 &&
            (!found || strcmp(session->chains[i].name, stream) == 0))
            found = &session->chains[i];
    return found;
}

static bool is_over(const struct session *session)
{
    return session->ledger && (session->ledger->end_ns != 0 || session->ledger->recovered);
}

static struct chain_session describe(const struct session *session,
                                     const struct ledger_stream *stream)
{
    const struct ledger *ledger = session->ledger;

    return (struct chain_session){
        .ledger = stream,
        .is_alive = session->is_alive,
        .is_over = is_over(session),
        .is_cut_short = ledger && (ledger->recovered || ledger->end_ns == 0),
    };
}

static void check_chain(struct verify_run *run, const struct session *session, struct chain *chain,
                        struct verify_doubts *doubts)
{
    struct chain_session known = describe(session, find_stream(session, chain->stream));

    if (find_chain(session, chain->stream) != chain)
        verify_doubts_add(doubts, -1, "its files are of stream %s, which has a folder of its own",
                          chain->stream);
    else if (known.ledger && strcmp(chain->name, chain->stream) != 0)
        verify_doubts_add(doubts, -1, "its files are of stream %s, and the folder is named %s",
                          chain->stream, chain->name);
    if (find_chain(session, chain->stream) == chain)
        chain_check(chain, &known, doubts);
    if (doubts->count > 0 || (run->options->json && has_recordings(chain)))
        verify_print_whole(run, chain->path, "stream", doubts);
}

static int check_chains(struct verify_run *run, const struct session *session, const char *uuid)
{
    struct verify_doubts *doubts = calloc(session->count ? session->count : 1, sizeof *doubts);

    if (!doubts)
        return -ENOMEM;
    for (size_t i = 0; i < session->count; i++)
        chain_arrange(&session->chains[i], uuid, &doubts[i]);
    for (size_t i = 0; i < session->count; i++)
        check_chain(run, session, &session->chains[i], &doubts[i]);
    free(doubts);
    return 0;
}

/* ---- its ledger ---- */

/* A stream that has no folder here, or one without a recording. */
static void check_absent(const struct verify_run *run, const struct session *session,
                         const struct ledger_stream *stream, struct verify_doubts *doubts)
{
    struct chain_session known = describe(session, stream);
    char path[4300];
    struct stat st;

    snprintf(path, sizeof path, "%.4090s/%.200s", session->path, stream->name);
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
        verify_doubts_add(doubts, -1, "stream %s: its folder is a link, which is not followed",
                          stream->name);
    else if (access(path, R_OK | X_OK) == 0 || errno == ENOENT)
        chain_check_ledger(NULL, &known, doubts);
    else if (strncmp(path, run->unread, UNREAD_BYTES) != 0)
        verify_doubts_add(doubts, -1, "stream %s: its folder: %s", stream->name, strerror(errno));
}

static void check_streams(const struct verify_run *run, const struct session *session,
                          struct verify_doubts *doubts)
{
    const struct ledger *ledger = session->ledger;

    for (size_t i = 0; i < ledger->stream_count; i++) {
        const struct ledger_stream *stream = &ledger->streams[i];
        const struct chain *chain = find_chain(session, stream->name);
        struct chain_session known = describe(session, stream);

        if (chain)
            chain_check_ledger(chain, &known, doubts);
        else
            check_absent(run, session, stream, doubts);
    }
    for (size_t i = 0; i < session->count && is_over(session); i++)
        if (has_recordings(&session->chains[i]) && !find_stream(session, session->chains[i].stream))
            verify_doubts_add(doubts, -1, "stream %s is not in it", session->chains[i].stream);
}

/* A folder that was given another name is none of a ledger's business, one that has another
 * session's name is. */
static bool is_misplaced(const struct session *session)
{
    char name[FITS_TEXT_BYTES];

    name_folder(session->path, name, sizeof name);
    return tree_session_start(name) != 0 && tree_session_start(session->ledger->session) != 0 &&
           strcmp(name, session->ledger->session) != 0;
}

/* What is in the way of believing the ledger at all; false: nothing. */
static bool doubt_whole(struct session *session, int error, const struct dao_text *text,
                        const char *uuid, struct verify_doubts *doubts)
{
    if (error == -ENOENT)
        verify_doubts_add(doubts, -1, "is missing; daorec repair rebuilds it");
    else if (error == -ELOOP)
        verify_doubts_add(doubts, -1, "is a link, which is not followed here");
    else if (error < 0)
        verify_doubts_add(doubts, -1, "%s%s", text->s,
                          error == -EBADMSG ? "; daorec repair rebuilds it" : "");
    else if (uuid && strcmp(uuid, session->document.ledger.uuid) != 0)
        verify_doubts_add(doubts, -1, "is of session %.40s, the files beside it are of another",
                          session->document.ledger.session);
    else if (is_misplaced(session))
        verify_doubts_add(doubts, -1, "is of session %.40s", session->document.ledger.session);
    return doubts->count > 0;
}

/* What was copied beside the streams; each that is not as it was is told under its own path. */
static void check_copies(struct verify_run *run, const struct session *session)
{
    int fd = open(session->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (size_t i = 0; fd >= 0 && i < session->document.ledger.copy_count; i++) {
        const struct ledger_copy *copy = &session->document.ledger.copies[i];
        struct verify_doubts doubts = {0};
        struct dao_text text = {""};
        char path[4600];

        if (copies_check(fd, copy, &text) < 0)
            verify_doubts_add(&doubts, -1, "%s", text.s);
        run->bytes += copy->bytes;
        snprintf(path, sizeof path, "%.4090s/%.400s", session->path, copy->name);
        verify_print_whole(run, path, "copy", &doubts);
    }
    if (fd >= 0)
        close(fd);
}

static void check_ledger(struct verify_run *run, struct session *session, int error,
                         const struct dao_text *text, const char *uuid)
{
    struct verify_doubts doubts = {0};
    char path[4200];

    if (error == -ENOENT && session->is_alive)
        return; /* it is first written when a file is finished */
    snprintf(path, sizeof path, "%.4090s/session.json", session->path);
    run->recordings++;
    if (!doubt_whole(session, error, text, uuid, &doubts)) {
        if (!is_over(session) && !session->is_alive)
            verify_doubts_add(&doubts, -1,
                              "a crash left it unfinished; daorec repair rebuilds it from the "
                              "files");
        check_streams(run, session, &doubts);
        if (is_over(session))
            chain_check_span(session->ledger, session->chains, session->count, &doubts);
    }
    verify_print_whole(run, path, "ledger", &doubts);
    check_copies(run, session);
}

/* Whether a recorder goes on is asked first: a session that is over then does not grow while its
 * files are looked at. Finished files may go at any time, to keep within a limit; since the ledger
 * is told before, it is read when all of them were looked at. */
static void begin_session(struct session *session)
{
    int fd = open(session->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    session->is_alive = fd >= 0 && tree_session_is_alive(fd);
    if (fd >= 0)
        close(fd);
}

/* 0 or what reading it gave; *ret_is_gone: there is no such session any more. */
static int read_ledger(struct session *session, bool *ret_is_gone, struct dao_text *text)
{
    int fd = open(session->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 ? -errno : ledger_document_read(&session->document, fd, text);

    *ret_is_gone = fd < 0 ? error == -ENOENT : tree_is_gone(fd);
    if (fd >= 0)
        close(fd);
    return error;
}

/* Each stream in its order, then the ledger. */
static int check_session(struct verify_run *run, struct session *session, int error,
                         const struct dao_text *text)
{
    char uuid[FITS_TEXT_BYTES], name[FITS_TEXT_BYTES];
    bool any;
    int r;

    for (size_t i = 0; i < session->count; i++)
        session->is_alive = session->is_alive || is_being_written(&session->chains[i]);
    any = chain_find_session(uuid, session->chains, session->count,
                             error == 0 ? session->document.ledger.uuid : NULL);
    if (error == 0 && (!any || strcmp(uuid, session->document.ledger.uuid) == 0))
        session->ledger = &session->document.ledger;
    r = check_chains(run, session, any ? uuid : "");
    name_folder(session->path, name, sizeof name);
    if (r == 0 && session->is_in_scope &&
        (error != -ENOENT || (any && tree_session_start(name) != 0)))
        check_ledger(run, session, error, text, any ? uuid : NULL);
    return r;
}

/* ---- all of them ---- */

/* Is it the root, or in it? As paths go: one was made from the other. */
static bool is_below(const char *path, const char *root)
{
    size_t length = strlen(root);

    while (length > 1 && root[length - 1] == '/')
        length--;
    return strncmp(path, root, length) == 0 &&
           (path[length] == '\0' || path[length] == '/' || root[length - 1] == '/');
}

/* The folder that it is in: "wfs" is in ".", "." in "..". */
static void find_parent(const char *path, char *ret, size_t ret_bytes)
{
    if (strcmp(path, ".") == 0)
        snprintf(ret, ret_bytes, "..");
    else if (strcmp(path, "..") == 0)
        snprintf(ret, ret_bytes, "../..");
    else
        find_folder_of(path, ret, ret_bytes);
}

/* Which session is this folder of? Its own where it has a ledger, else the one above it. */
static void find_session(const struct find_folder *folder, char *ret, size_t ret_bytes)
{
    if (folder->has_ledger)
        snprintf(ret, ret_bytes, "%s", folder->path);
    else
        find_parent(folder->path, ret, ret_bytes);
}

static bool is_of_session(const struct find_folder *folder, const char *path)
{
    char parent[4096];

    find_parent(folder->path, parent, sizeof parent);
    return strcmp(parent, path) == 0 || strcmp(folder->path, path) == 0;
}

/* The folders of a session, as they were found. */
static int look_at_session(struct verify_run *run, struct session *session,
                           const struct find_folder *folders, size_t count)
{
    struct dao_text text = {""};
    struct find_tree fresh = {0};
    bool is_gone = false;
    int error = 0, r;

    begin_session(session);

    /* What was found may be hours old, and the session have gone on. */
    if (session->is_whole && find_tree_scan(&fresh, session->path, FIND_FOLDERS_MAX) == 0) {
        folders = fresh.folders;
        count = fresh.folder_count;
    }
    session->chains = calloc(count ? count : 1, sizeof *session->chains);
    r = session->chains ? 0 : -ENOMEM;
    for (size_t i = 0; i < count && r == 0; i++)
        if (is_of_session(&folders[i], session->path) &&
            folders[i].name_count + folders[i].link_count > 0)
            r = look_at_folder(run, &folders[i], session->root, &session->chains[session->count++]);
    if (r == 0)
        error = read_ledger(session, &is_gone, &text);
    if (r == 0 && !is_gone)
        r = check_session(run, session, error, &text);
    while (session->count > 0)
        free_chain(&session->chains[--session->count]);
    free(session->chains);
    ledger_document_free(&session->document);
    find_tree_free(&fresh);
    return r;
}

/* Take the folders of the session at `path` out of those that are left; `first` is one of them, and
 * they lie behind it, with what is below them. Returns how many they are. */
static size_t take_session(const struct find_tree *tree, size_t first, bool *is_done,
                           struct find_folder *ret, const char *path)
{
    size_t count = 0;

    for (size_t i = first; i < tree->folder_count; i++) {
        if (i > first && !is_below(tree->folders[i].path, path))
            break;
        if (is_done[i] || !is_of_session(&tree->folders[i], path))
            continue;
        is_done[i] = true;
        ret[count++] = tree->folders[i];
    }
    return count;
}

int verify_check_tree(struct verify_run *run, const struct find_tree *tree, const char *root)
{
    size_t most = tree->folder_count ? tree->folder_count : 1;
    struct find_folder *folders = calloc(most, sizeof *folders);
    bool *is_done = calloc(most, sizeof *is_done);
    int r = folders && is_done ? 0 : -ENOMEM;

    for (size_t i = 0; i < tree->folder_count && r == 0; i++) {
        const struct find_folder *folder = &tree->folders[i];
        char path[4096], name[FITS_TEXT_BYTES];
        struct session session = {.path = path, .root = root};
        size_t count;

        if (is_done[i])
            continue;
        find_session(folder, path, sizeof path);
        name_folder(path, name, sizeof name);
        session.is_in_scope =
            folder->has_ledger || (is_below(path, root) && strcmp(path, folder->path) != 0);
        session.is_whole =
            session.is_in_scope && (folder->has_ledger || tree_session_start(name) != 0);
        count = take_session(tree, i, is_done, folders, path);
        r = look_at_session(run, &session, folders, count);
    }
    free(folders);
    free(is_done);
    return r;
}
