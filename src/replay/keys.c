/* keys.c - see keys.h. */
#include "replay/keys.h"

#include <errno.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE      0x1b
#define SEQUENCE_MS 50 /* the rest of an arrow's three bytes comes at once */

static struct termios before;
static bool is_open;

static int set_raw(void)
{
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &raw) < 0)
        return -ENOTTY;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    return tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0 ? -errno : 0;
}

int keys_open(void)
{
    int r;

    /* In the background keys are not for us, and asking would stop the process. */
    if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp() ||
        tcgetattr(STDIN_FILENO, &before) < 0)
        return -ENOTTY;
    r = set_raw();
    is_open = r == 0;
    return r;
}

void keys_close(void)
{
    if (is_open)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    is_open = false;
}

void keys_resume(void)
{
    if (is_open)
        set_raw();
}

/* The next byte; -1: none in this time (or a signal), -2: there will be none. */
static int read_byte(int wait_ms)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    unsigned char byte;
    ssize_t n;

    if (poll(&in, 1, wait_ms) <= 0)
        return -1;
    n = read(STDIN_FILENO, &byte, 1);
    if (n == 1)
        return byte;
    return n < 0 && (errno == EINTR || errno == EAGAIN) ? -1 : -2;
}

/* ESC [ A ... D, or ESC O A ... D: up, down, right, left. */
static enum key read_sequence(void)
{
    int second = read_byte(SEQUENCE_MS);

    if (second != '[' && second != 'O')
        return KEY_OTHER;
    switch (read_byte(SEQUENCE_MS)) {
    case 'B':
    case 'C':
        return KEY_NEXT;
    case 'A':
    case 'D':
        return KEY_BACK;
    default:
        return KEY_OTHER;
    }
}

enum key keys_read(int wait_ms)
{
    switch (read_byte(wait_ms)) {
    case -1:
        return KEY_NONE;
    case -2:
    case 'q':
    case 'Q':
    case 4: /* Ctrl-D */
        return KEY_QUIT;
    case ' ':
    case '\n':
    case '\r':
        return KEY_NEXT;
    case '\b':
    case 0x7f:
        return KEY_BACK;
    case ESCAPE:
        return read_sequence();
    default:
        return KEY_OTHER;
    }
}
