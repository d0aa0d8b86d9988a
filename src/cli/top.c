/*
 * top.c - the verb `top`: a recorder on a terminal, asked over its control socket.
 *
 * The main thread has the terminal and the keys; but for the first answer, which there is no screen
 * without, it waits for none: see asker.h.
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
#include "cli/asker.h"
#include "cli/cli.h"
#include "cli/top.h"

#ifdef HAVE_NCURSES

#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <stdlib.h>
#include <unistd.h>

#include "serve/socket.h"
#include "serve/view.h"

#define KEY_MS    100
#define TAIL_ROWS 5 /* a line, two of the stream, the message, the keys */
#define KEY_ROWS  2
#define HEAD_ROWS 4

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

struct top {
    struct top_options options;
    struct asker asker;
    struct view view;
    char why[ASKER_WHY_BYTES]; /* nothing new comes; empty: it does */
    unsigned selected, first;  /* streams: that one, and the first one that is shown */
    enum { KEYS_PLAIN, KEYS_MARK, KEYS_STOP } keys;
    char mark[ASKER_TEXT_BYTES];
};

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
    char line[ASKER_TEXT_BYTES + 64];

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
    char message[ASKER_WHY_BYTES];

    asker_copy_message(&top->asker, message);
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
            asker_do(&top->asker, "mark", top->mark);
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
            asker_do(&top->asker, "stop", "");
        return true;
    }
    asker_clear_message(&top->asker);
    if (key == 'r')
        asker_do(&top->asker, "roll", "");
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
    bool is_new;
    char *answer = asker_take(&top->asker, top->why, &is_new);

    if (answer && view_update(&top->view, answer) < 0)
        snprintf(top->why, sizeof top->why, "what answers there is no recorder");
    free(answer);
    return is_new;
}

/* Nobody is there: a line, and no screen. */
static int ask_first(struct top *top)
{
    struct dao_text why = {""};
    char *answer = asker_ask(&top->asker, &why);
    int r = answer ? view_update(&top->view, answer) : 0;

    free(answer);
    if (!answer)
        log_error("top: %s", why.s);
    else if (r < 0)
        log_error("top: what answers there is no recorder");
    return answer && r == 0 ? EXIT_DONE : EXIT_FAILED;
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
    top.asker.socket = top.options.socket;
    top.asker.every_ns = top.options.every_ns;
    if (ask_first(&top) != EXIT_DONE)
        return EXIT_FAILED;
    if (!asker_start(&top.asker)) {
        log_error("top: no thread can be started");
        view_free(&top.view);
        return EXIT_FAILED;
    }
    run_screen(&top);
    asker_end(&top.asker);
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
