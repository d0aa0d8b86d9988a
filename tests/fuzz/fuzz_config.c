/*
 * fuzz_config.c - a configuration file of any bytes.
 *
 * What must hold: no crash; what is wrong is told in lines without control characters; what is
 * right is printed as a file that is right, and the same again; every number is in its range.
 */
#include <errno.h>
#include <fcntl.h>

#include "config/keys.h"
#include "tests/fuzz/fuzz.h"

static int load(struct config *config, const void *data, size_t size,
                struct config_mistakes *mistakes)
{
    int fd = memfd_create("config", MFD_CLOEXEC), r;
    char path[64];

    FUZZ_MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    r = config_load(config, path, true, mistakes);
    close(fd);
    return r;
}

static void check_mistakes(const struct config_mistakes *mistakes)
{
    FUZZ_MUST(mistakes->count > 0 && mistakes->count <= CONFIG_MISTAKES_MAX);
    for (size_t i = 0; i < mistakes->count; i++)
        for (const char *p = mistakes->lines[i].text; *p; p++)
            FUZZ_MUST((unsigned char)*p >= ' ' && *p != 0x7f);
}

static void check_number(const struct config_key *key, const void *place)
{
    double value;

    if (key->type == CONFIG_COUNT || key->type == CONFIG_BYTES)
        value = (double)*(const uint64_t *)place;
    else if (key->type == CONFIG_DURATION)
        value = (double)*(const int64_t *)place;
    else
        return;
    FUZZ_MUST((key->zero && value == 0.0) || (value >= key->min && value <= key->max));
}

static void check_config(const struct config *config)
{
    FUZZ_MUST(config->source_count > 0 && config->source_count <= CONFIG_SOURCES_MAX);
    FUZZ_MUST(*config->root_storage);
    for (unsigned i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (!config_is_of_source(key))
            check_number(key, (const char *)config + key->offset);
        for (size_t k = 0; config_is_of_source(key) && k < config->source_count; k++)
            if (!config->sources[k].is_file)
                check_number(key, (const char *)&config->sources[k] + key->offset);
    }
    for (size_t i = 0; i < config->source_count; i++)
        FUZZ_MUST(config->sources[i].is_file || tree_is_stream_name(config->sources[i].stream));
}

static char *print(const struct config *config)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);

    FUZZ_MUST(f);
    FUZZ_MUST(config_print(config, f) == 0);
    FUZZ_MUST(fclose(f) == 0);
    return text;
}

static void print_and_load(const struct config *config)
{
    struct config_mistakes mistakes = {0};
    char *first = print(config), *second;
    struct config again;

    FUZZ_MUST(load(&again, first, strlen(first), &mistakes) == 0);
    second = print(&again);
    FUZZ_MUST(strcmp(first, second) == 0);
    config_free(&again);
    free(first);
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_mistakes mistakes = {0};
    struct config config;
    int r = load(&config, data, size, &mistakes);

    if (r < 0) {
        FUZZ_MUST(r == -EINVAL);
        check_mistakes(&mistakes);
    } else {
        FUZZ_MUST(mistakes.count == 0);
        check_config(&config);
        print_and_load(&config);
    }
    config_mistakes_free(&mistakes);
    config_free(&config);
    return 0;
}

/* ---- mutations ---- */

/* Mostly a value or a key becomes another one, since few other changes leave it YAML. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static const char *const words[] = {
        "0",       "-1",  "9e15",     "1GiB", "10min",     "decimate 4", "[0, 2]",
        "{a: 1}",  "~",   "*a",       "&a x", "smem:///t", "$HOME",      "$$",
        "'",       "\"",  "true",     "2%",   "\n- /a",    "stop",       "file:///t/b",
        "!!int 1", "0-3", "\xc3\xb6", "\t",   ": ",        "---"};
    uint64_t state = seed * 2654435761ull + 1;
    size_t at = size ? fuzz_next(&state) % size : 0, end, length;
    const char *word = words[fuzz_next(&state) % (sizeof words / sizeof *words)];

    if (size < 8 || fuzz_next(&state) % 4 == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    while (at < size && data[at] != ':' && data[at] != '\n')
        at++;
    while (at < size && (data[at] == ':' || data[at] == ' '))
        at++;
    for (end = at; end < size && data[end] != '\n';)
        end++;
    length = strlen(word);
    if (size - (end - at) + length > max_size)
        return size;
    memmove(data + at + length, data + end, size - end);
    memcpy(data + at, word, length);
    return size - (end - at) + length;
}
