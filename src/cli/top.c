/*
 * top.c - the verb `top`: a recorder on a terminal, asked over its control socket.
 *
 * The main thread has the terminal and the keys. Another one asks for the state once a second, and
 * one more, while there is something to be done, asks for that: a roll may take its time.
 *
 * What can happen: nobody answers at the start - a line, exit status 1; nobody answers any more -
 * that is said, what was last known stays, and it is asked again; a terminal that is small, or made
 * smaller - rows and columns at the end are left out; one that is closed - it ends.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "base/output.h"
#include "cli/cli.h"
#include "cli/top.h"

#ifdef HAVE_NCURSES

#include <jansson.h>
#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "serve/ask.h"
#include "serve/socket.h"
#include "serve/view.h"

#define STATUS_NS  4000000000ll  /* for an answer about the state */
#define DONE_NS    30000000000ll /* until something has happened */
#define KEY_MS     100
#define MARK_BYTES 200
#define TAIL_ROWS  5 /* a line, two of the stream, the message, the keys */
#define KEY_ROWS   2
#define HEAD_ROWS  4

struct top_options {
    const char *socket;
    int64_t every_ns;
};

#define OFF(member) offsetof(struct top_options, member)

static const struct option_spec specs[] = {
    {"socket", 's', OPTION_STRING, OFF(socket), "PATH",
     "of the recorder (default $XDG_RUNTIME_DIR/daorec/control, /run/daorec/control for root)", 0,
     0},
    {"every", 0, OPTION_DURATION, OFF(every_ns), "T", "ask so often (default 1s)", 1e8, 6e10},
    {0},
};

static const struct verb_usage usage = {
    .verb = "top",
    .arguments = "",
    .summary = "Watch a running recorder (record --control); keys roll, mark and stop it.",
    .specs = specs,
};

/* One thing that is to be done. */
struct errand {
    const char *verb;
    char text[MARK_BYTES];
};

struct top {
    struct top_options options;
    pthread_mutex_t lock; /* of the next six */
    pthread_cond_t wake;
    char *answer;      /* the newest, not taken over yet; NULL: none */
    char silence[400]; /* why there is none; empty: there is */
    char message[400];
    bool is_busy; /* with the errand */
    bool ending;
    /* the main thread's */
    struct errand errand;
    struct view view;
    char why[400];
    unsigned selected, first; /* streams: that one, and the first one that is shown */
    enum { KEYS_PLAIN, KEYS_MARK, KEYS_STOP } keys;
    char mark[MARK_BYTES];
};

/* ---- asking ---- */

/* Sleeps that long, unless it ends. With the lock held. */
static void rest(struct top *top, int64_t ns)
{
    int64_t until_ns = dao_clock_mono_ns() + ns;
    struct timespec until = {until_ns / 1000000000ll, until_ns % 1000000000ll};

    while (!top->ending && dao_clock_mono_ns() < until_ns)
        pthread_cond_timedwait(&top->wake, &top->lock, &until);
}

static void *ask_again_and_again(void *arg)
{
    struct top *top = arg;

    pthread_mutex_lock(&top->lock);
    while (!top->ending) {
        struct dao_text why = {""};
        char *answer;

        pthread_mutex_unlock(&top->lock);
        answer = ask(top->options.socket, "status", NULL, STATUS_NS, &why);
        pthread_mutex_lock(&top->lock);
        top->silence[0] = '\0';
        if (!answer)
            snprintf(top->silence, sizeof top->silence,
                     "no answer, and this is what it said last: %.300s", why.s);
        if (answer) {
            free(top->answer);
            top->answer = answer;
        }
        rest(top, top->options.every_ns);
    }
    pthread_mutex_unlock(&top->lock);
    return NULL;
}

/* What an answer says for people. */
static void read_outcome(char *ret, size_t bytes, const char *verb, const char *line)
{
    json_t *answer = json_loads(line, 0, NULL);
    const char *error = json_string_value(json_object_get(answer, "error"));
    const char *note = json_string_value(json_object_get(answer, "note"));

    if (json_is_true(json_object_get(answer, "ok")))
        snprintf(ret, bytes, "%s: done%s%s", verb, note ? ", " : "", note ? note : "");
    else
        snprintf(ret, bytes, "%s: %s", verb, error ? error : "it was not done");
    json_decref(answer);
}

static void *run_errand(void *arg)
{
    struct top *top = arg;
    struct errand *errand = &top->errand;
    struct dao_text why = {""};
    char *answer = ask(top->options.socket, errand->verb, errand->text[0] ? errand->text : NULL,
                       DONE_NS, &why);

    pthread_mutex_lock(&top->lock);
    if (answer)
        read_outcome(top->message, sizeof top->message, errand->verb, answer);
    else
        snprintf(top->message, sizeof top->message, "%s: %.300s", errand->verb, why.s);
    top->is_busy = false;
    pthread_mutex_unlock(&top->lock);
    free(answer);
    return NULL;
}

/* What was done was read. */
static void clear_message(struct top *top)
{
    pthread_mutex_lock(&top->lock);
    if (!top->is_busy)
        top->message[0] = '\0';
    pthread_mutex_unlock(&top->lock);
}

/* One that nobody waits for: at the end an answer may be seconds away. */
static bool start_thread(void *(*run)(void *), struct top *top)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, run, top) != 0)
        return false;
    pthread_detach(thread);
    return true;
}

static void start_errand(struct top *top, const char *verb, const char *text)
{
    struct errand *errand = &top->errand;
    bool is_busy;

    pthread_mutex_lock(&top->lock);
    is_busy = top->is_busy;
    top->is_busy = true;
    if (!is_busy)
        snprintf(top->message, sizeof top->message, "%s ...", verb);
    pthread_mutex_unlock(&top->lock);
    if (is_busy)
        return;
    errand->verb = verb;
    snprintf(errand->text, sizeof errand->text, "%s", text);
    if (!start_thread(run_errand, top)) {
        pthread_mutex_lock(&top->lock);
        top->is_busy = false;
        snprintf(top->message, sizeof top->message, "%s: no thread can be started", verb);
        pthread_mutex_unlock(&top->lock);
    }
}

/* ---- the screen ---- */

static void set_up_screen(void)
{
    initscr();
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    timeout(KEY_MS);
    set_escdelay(25);
    curs_set(0);
    if (has_colors()) {
        start_color();
        use_default_colors();
        init_pair(VIEW_GOOD, COLOR_GREEN, -1);
        init_pair(VIEW_WARN, COLOR_YELLOW, -1);
        init_pair(VIEW_BAD, COLOR_RED, -1);
        init_pair(VIEW_SOFT, COLOR_CYAN, -1);
    }
}

static attr_t attribute_of(enum view_tone tone)
{
    attr_t color = has_colors() && tone != VIEW_PLAIN ? (attr_t)COLOR_PAIR(tone) : A_NORMAL;

    return tone == VIEW_BAD ? color | A_BOLD : color;
}

/* The bytes of a text, in whole characters, that so many columns have room for. */
static int fitting(const char *text, int columns)
{
    int i = 0;

    while (text[i] && (columns > 0 || ((unsigned char)text[i] & 0xc0) == 0x80)) {
        columns -= ((unsigned char)text[i] & 0xc0) != 0x80;
        i++;
    }
    return i;
}

/* What fits of a text: else it would go on in the next row. */
static void put(int row, int column, const char *text, attr_t attribute)
{
    if (row < 0 || row >= LINES || column >= COLS)
        return;
    attron(attribute);
    mvaddnstr(row, column, text, fitting(text, COLS - column));
    attroff(attribute);
}

/* Titles (stream NULL) are underlined; of the stream that is selected the name is reversed, since
 * reversed bars would show the opposite. */
static void put_row(const struct top *top, int row, const struct view_stream *stream,
                    bool is_selected)
{
    struct view_cell cells[VIEW_COLUMNS];
    unsigned count = view_row(&top->view, stream, (unsigned)COLS, cells);

    if (!stream)
        mvhline(row, 0, ' ' | A_UNDERLINE, COLS);
    for (unsigned i = 0; i < count; i++)
        put(row, (int)cells[i].x, cells[i].text,
            attribute_of(cells[i].tone) | (stream ? A_NORMAL : A_UNDERLINE) |
                (is_selected && i == 0 ? A_REVERSE : A_NORMAL));
}

/* On a low terminal what is told below the streams makes way for them. */
static int tail_rows(void)
{
    if (LINES > HEAD_ROWS + TAIL_ROWS)
        return TAIL_ROWS;
    return LINES > HEAD_ROWS + KEY_ROWS ? KEY_ROWS : 0;
}

static unsigned rows_for_streams(void)
{
    return LINES > HEAD_ROWS + tail_rows() ? (unsigned)(LINES - HEAD_ROWS - tail_rows()) : 1;
}

static void draw_streams(struct top *top)
{
    unsigned rows = rows_for_streams();
    struct view_cell lines[2];
    char more[64];

    if (top->selected >= top->view.count)
        top->selected = top->view.count ? top->view.count - 1 : 0;
    if (top->first + rows > top->view.count) /* there may be more rows than before */
        top->first = top->view.count > rows ? top->view.count - rows : 0;
    if (top->selected < top->first)
        top->first = top->selected;
    if (top->selected >= top->first + rows)
        top->first = top->selected - rows + 1;
    put_row(top, HEAD_ROWS - 1, NULL, false);
    for (unsigned i = 0; i < rows && top->first + i < top->view.count; i++)
        put_row(top, HEAD_ROWS + (int)i, &top->view.streams[top->first + i],
                top->first + i == top->selected);
    if (top->view.count == 0 || tail_rows() < TAIL_ROWS)
        return;
    snprintf(more, sizeof more, "%u of %u ", top->selected + 1, top->view.count);
    for (int x = 0; x < COLS; x++)
        put(LINES - TAIL_ROWS, x, top->view.is_plain ? "-" : "─", attribute_of(VIEW_SOFT));
    put(LINES - TAIL_ROWS, 0, more, A_NORMAL);
    view_stream_lines(&top->view.streams[top->selected], lines);
    for (int i = 0; i < 2; i++)
        put(LINES - TAIL_ROWS + 1 + i, 0, lines[i].text, attribute_of(lines[i].tone));
}

static void draw_keys(const struct top *top, const char *message)
{
    char line[MARK_BYTES + 64];

    if (top->keys == KEYS_MARK) {
        snprintf(line, sizeof line, "mark: %s_", top->mark);
        put(LINES - 2, 0, line, A_BOLD);
        put(LINES - 1, 0, "Enter marks this moment with that text, Esc does not", A_NORMAL);
        return;
    }
    if (top->keys == KEYS_STOP) {
        put(LINES - 2, 0, "Stop this recording? y or n", A_BOLD);
        return;
    }
    if (tail_rows() == 0 && !top->why[0] && !message[0])
        return;
    put(LINES - 2, 0, top->why[0] ? top->why : message,
        top->why[0] ? attribute_of(VIEW_BAD) : A_BOLD);
    put(LINES - 1, 0, "q quit   r next file   m mark   s stop   up, down: stream", A_NORMAL);
}

static void draw(struct top *top)
{
    struct view_cell lines[2];
    char message[sizeof top->message];

    pthread_mutex_lock(&top->lock);
    snprintf(message, sizeof message, "%s", top->message);
    pthread_mutex_unlock(&top->lock);
    view_session_lines(&top->view, lines);
    erase();
    put(0, 0, "daorec", A_BOLD);
    put(0, 7, top->why[0] ? "silent" : top->view.condition,
        attribute_of(top->why[0] ? VIEW_BAD : view_tone_of(top->view.condition)));
    put(0, 16, lines[0].text, A_NORMAL);
    put(1, 0, lines[1].text, attribute_of(lines[1].tone));
    draw_streams(top);
    draw_keys(top, message);
    refresh();
}

/* ---- keys ---- */

static void type_mark(struct top *top, int key)
{
    size_t length = strlen(top->mark);

    if (key == '\n' || key == '\r' || key == KEY_ENTER) {
        if (length > 0)
            start_errand(top, "mark", top->mark);
        top->keys = KEYS_PLAIN;
    } else if (key == 27) {
        top->keys = KEYS_PLAIN;
    } else if (key == KEY_BACKSPACE || key == 127 || key == 8) {
        while (length > 0 && ((unsigned char)top->mark[--length] & 0xc0) == 0x80)
            ; /* the whole of a character of UTF-8 */
        top->mark[length] = '\0';
    } else if (key >= ' ' && key < 256 && length + 1 < sizeof top->mark) {
        top->mark[length] = (char)key;
        top->mark[length + 1] = '\0';
    }
}

/* False: it is to end. */
static bool press(struct top *top, int key)
{
    if (top->keys == KEYS_MARK) {
        type_mark(top, key);
        return true;
    }
    if (top->keys == KEYS_STOP) {
        top->keys = KEYS_PLAIN;
        if (key == 'y' || key == 'Y')
            start_errand(top, "stop", "");
        return true;
    }
    clear_message(top);
    if (key == 'r')
        start_errand(top, "roll", "");
    if (key == 'm')
        top->keys = KEYS_MARK;
    if (key == 's')
        top->keys = KEYS_STOP;
    if ((key == KEY_UP || key == 'k') && top->selected > 0)
        top->selected--;
    if ((key == KEY_DOWN || key == 'j') && top->selected + 1 < top->view.count)
        top->selected++;
    top->mark[0] = '\0';
    return key != 'q';
}

/* ---- start and end ---- */

/* What the asker has got. Is it worth drawing? */
static bool take_answer(struct top *top)
{
    char *answer;
    bool is_new;

    pthread_mutex_lock(&top->lock);
    answer = top->answer;
    top->answer = NULL;
    is_new = answer || strcmp(top->why, top->silence) != 0 || top->message[0];
    snprintf(top->why, sizeof top->why, "%s", top->silence);
    pthread_mutex_unlock(&top->lock);
    if (answer && view_update(&top->view, answer) < 0)
        snprintf(top->why, sizeof top->why, "what answers there is no recorder");
    free(answer);
    return is_new;
}

/* Nobody is there: a line, and no screen. */
static int ask_first(struct top *top)
{
    struct dao_text why = {""};
    char *answer = ask(top->options.socket, "status", NULL, STATUS_NS, &why);
    int r = answer ? view_update(&top->view, answer) : 0;

    free(answer);
    if (!answer)
        log_error("top: %s", why.s);
    else if (r < 0)
        log_error("top: what answers there is no recorder");
    return answer && r == 0 ? EXIT_DONE : EXIT_FAILED;
}

static bool start_asker(struct top *top)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&top->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&top->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return start_thread(ask_again_and_again, top);
}

static void run_screen(struct top *top)
{
    bool is_wanted = true;

    set_up_screen();
    draw(top);
    while (is_wanted) {
        int key = getch();
        bool is_new = take_answer(top);

        if (key != ERR)
            is_wanted = press(top, key);
        else if (output_reader_is_gone()) /* and nobody has told by SIGHUP: nohup */
            break;
        if (is_new || key != ERR)
            draw(top);
    }
    endwin();
}

bool top_is_built(void)
{
    return true;
}

int cli_top(int argc, char **argv)
{
    /* Not on the stack: what is asked still at the end is not waited for. */
    static struct top top = {.options = {.every_ns = 1000000000ll}};
    int first = options_parse(&usage, argc, argv, &top.options);
    struct dao_text why;

    if (first < 0)
        return cli_status_of_parse(first);
    if (first < argc) {
        log_error("top: '%s': it takes no arguments; --socket says which recorder", argv[first]);
        return EXIT_WRONG_USAGE;
    }
    if (top.options.socket && socket_check_path(top.options.socket, &why) < 0) {
        log_error("top: %s", why.s);
        return EXIT_WRONG_USAGE;
    }
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        log_error("top: wants a terminal; for programs there is `daorec ctl status --json`");
        return EXIT_WRONG_USAGE;
    }
    setlocale(LC_CTYPE, "");
    top.view.is_plain = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    if (ask_first(&top) != EXIT_DONE)
        return EXIT_FAILED;
    if (!start_asker(&top)) {
        log_error("top: no thread can be started");
        view_free(&top.view);
        return EXIT_FAILED;
    }
    run_screen(&top);
    pthread_mutex_lock(&top.lock);
    top.ending = true;
    pthread_cond_signal(&top.wake);
    pthread_mutex_unlock(&top.lock);
    view_free(&top.view);
    return EXIT_DONE;
}

#else

bool top_is_built(void)
{
    return false;
}

int cli_top(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    log_error("top: this daorec was built without ncurses: install libncurses-dev and build it "
              "again, or use `daorec ctl status`");
    return EXIT_WRONG_USAGE;
}

#endif
