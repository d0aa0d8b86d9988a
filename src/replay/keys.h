/*
 * keys.h - single keys from the terminal, without waiting for a line. Main thread only.
 */
#ifndef DAOREC_REPLAY_KEYS_H
#define DAOREC_REPLAY_KEYS_H

#include <stdbool.h>

enum key {
    KEY_NONE,
    KEY_NEXT, /* space, right, down, Enter */
    KEY_BACK, /* left, up, backspace: not possible */
    KEY_QUIT, /* q, end of file */
    KEY_OTHER,
};

/* Standard input becomes a source of keys, until keys_close(); Ctrl-C stays a signal. 0; -ENOTTY:
 * it is no terminal, or not ours now. */
int keys_open(void);
void keys_close(void); /* the terminal is as it was; safe where it was not opened */

/* Again, after the process was suspended and has come back. */
void keys_resume(void);

/* The next key, waited for so long (ms) at most, or until a signal comes. */
enum key keys_read(int wait_ms);

#endif
