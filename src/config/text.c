/* text.c - the bytes of a configuration file, and $VAR in its values. See parts.h. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/keys.h"
#include "config/parts.h"

/* ---- the file ---- */

static unsigned line_of(const char *text, size_t at)
{
    unsigned line = 1;

    for (size_t i = 0; i < at; i++)
        line += text[i] == '\n';
    return line;
}

/* Bytes of the UTF-8 character at p, of `left` bytes at least one; 0: it is none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (length == 0 || length > left || p[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || /* surrogates */
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

static bool check_text(struct config_reading *reading, const char *text, size_t bytes)
{
    for (size_t at = 0, length; at < bytes; at += length) {
        length = utf8_length((const unsigned char *)text + at, bytes - at);
        if (text[at] == '\0') {
            config_mistake(reading, line_of(text, at), NULL,
                           "has a NUL byte; a configuration is text in UTF-8");
            return false;
        }
        if (length == 0) {
            config_mistake(reading, line_of(text, at), NULL,
                           "is not UTF-8 (byte 0x%02x); a configuration is text in UTF-8",
                           (unsigned)(unsigned char)text[at]);
            return false;
        }
    }
    return true;
}

/* All there is, but not more than `most` bytes. Negative errno, or how many. */
static ssize_t read_bytes(int fd, char *text, size_t most)
{
    size_t used = 0;

    while (used < most) {
        ssize_t n = read(fd, text + used, most - used);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        used += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)used;
}

/* The bytes of an open file, one more than is allowed at most; or negative errno. */
static ssize_t read_file(struct config *config, int fd, char **ret)
{
    size_t most = CONFIG_FILE_BYTES_MAX + 1;
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode) && fd != STDIN_FILENO)
        return -EINVAL;
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < most)
        most = (size_t)st.st_size;
    *ret = config_keep(config, most + 1);
    if (!*ret)
        return -ENOMEM;
    if (fd != STDIN_FILENO) /* a pipe is waited for */
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return read_bytes(fd, *ret, most);
}

char *config_read_text(struct config_reading *reading, const char *path, size_t *ret_bytes)
{
    bool is_input = strcmp(path, "-") == 0;
    int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *text = NULL;
    ssize_t bytes = fd < 0 ? -errno : read_file(reading->config, fd, &text);

    if (fd >= 0 && !is_input)
        close(fd);
    if (bytes == -ENOMEM)
        reading->no_memory = true;
    else if (bytes < 0)
        config_mistake(reading, 0, NULL, "cannot be read: %s", strerror((int)-bytes));
    else if ((size_t)bytes > CONFIG_FILE_BYTES_MAX)
        config_mistake(reading, 0, NULL,
                       "is larger than a configuration may be; the most is %u KiB",
                       CONFIG_FILE_BYTES_MAX >> 10);
    else if (check_text(reading, text, (size_t)bytes)) {
        *ret_bytes = (size_t)bytes;
        return text;
    }
    return NULL;
}

/* ---- $VAR ---- */

struct expansion {
    char *text;
    size_t used, room;
};

static int append(struct expansion *e, const char *text, size_t bytes)
{
    if (e->used + bytes + 1 > e->room) {
        size_t room = 2 * (e->used + bytes) + 64;
        char *grown = room > 4 * CONFIG_FILE_BYTES_MAX ? NULL : realloc(e->text, room);

        if (!grown)
            return -ENOMEM;
        e->text = grown;
        e->room = room;
    }
    memcpy(e->text + e->used, text, bytes);
    e->used += bytes;
    e->text[e->used] = '\0';
    return 0;
}

/* A name at *text, with or without braces; *text is then behind it. */
static int take_name(const char **text, char name[256])
{
    const char *p = *text, *begin, *end;
    bool braced = *p == '{';

    begin = end = p + braced;
    while (isalnum((unsigned char)*end) || *end == '_')
        end++;
    if (end == begin || isdigit((unsigned char)*begin) || (braced && *end != '}') ||
        end - begin > 255)
        return -EINVAL;
    memcpy(name, begin, (size_t)(end - begin));
    name[end - begin] = '\0';
    *text = end + braced;
    return 0;
}

static int expand_one(struct expansion *e, const char **text, char *why, size_t why_bytes)
{
    char name[256];
    const char *value;

    if (**text == '$') {
        (*text)++;
        return append(e, "$", 1);
    }
    if (take_name(text, name) < 0) {
        snprintf(why, why_bytes, "has a $ without the name of a variable; write $$ for a dollar");
        return -EINVAL;
    }
    value = getenv(name);
    if (!value) {
        snprintf(why, why_bytes,
                 "has $%s, which is not set in the environment; set it, or write $$ for a dollar",
                 name);
        return -EINVAL;
    }
    return append(e, value, strlen(value));
}

int config_expand(const char *text, char **ret, char *why, size_t why_bytes)
{
    struct expansion e = {0};
    int r = append(&e, "", 0);

    while (r == 0 && *text) {
        size_t plain = strcspn(text, "$");

        r = append(&e, text, plain);
        text += plain;
        if (r == 0 && *text) {
            text++;
            r = expand_one(&e, &text, why, why_bytes);
        }
    }
    if (r < 0) {
        free(e.text);
        return r;
    }
    *ret = e.text;
    return 0;
}
