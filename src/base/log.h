/*
 * log.h - one line a message, to stderr, prefixed "daorec: "; where stderr is the journal, with its
 * priority in front instead, "<4>" for a warning: who speaks is known there. Never called from the
 * hot path.
 * Any thread; a line is written by one write(2). While a live line is on the terminal it is wiped
 * before a message and redrawn by its owner.
 *
 * Who logs waits until the line is written, which is for ever where nobody reads: a pager that was
 * stopped, a pipe that somebody else fills. A recorder must not wait for that: see
 * log_start_thread().
 */
#ifndef DAOREC_BASE_LOG_H
#define DAOREC_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level); /* default LOG_INFO */
void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_at(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_at(LOG_DEBUG, __VA_ARGS__)

/* As it is, without a prefix; one line, too. */
void log_plain(const char *text);

/*
 * From now on a thread of its own writes, in the same order, and who logs does not wait. What it
 * cannot write waits in memory, a quarter of a megabyte of it; more is dropped and counted, and as
 * soon as there is somebody to hear it, one line says how many. The thread has every signal
 * blocked and no real-time priority. Main thread, once, at most until log_stop_thread(); 0 or
 * negative errno: then it is as before.
 */
int log_start_thread(void);

/* Wait until all is written that was logged before, for a second at most: before standard output,
 * which may be the same terminal, is written to. Without the thread nothing is waited for. */
void log_flush(void);

/* The end of the process: as log_flush(), and no more thread. Was it in vain, then nothing is
 * written any more. Main thread. */
void log_stop_thread(void);

/* What this thread logs as an error from here on is also kept in `text` (the last one, cut to
 * `bytes`), which is made "" now; NULL: no more. */
void log_keep_errors(char *text, size_t bytes);

/* Replace the live line by `line` (no newline at its end; cut to the terminal's width); NULL
 * removes it. It may be several lines with newlines between: they are cut to the terminal's size,
 * too. While the last one is not written yet, nothing. */
void log_live(const char *line);

/* The terminal's size, as log_live() cuts to it. 24 and 80 where nothing tells. */
void log_live_size(unsigned *ret_rows, unsigned *ret_columns);

/* Is there a terminal to show a live line on? */
bool log_live_is_shown(void);

/* Could something not be written since the program began? To who has nothing to do but to tell. */
bool log_has_failed(void);

#endif
