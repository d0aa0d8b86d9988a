/* watched.c - see watched.h. */
#include "cli/watched.h"

#include <errno.h>
#include <stdio.h>

#include "base/exit_status.h"
#include "base/log.h"

int watched_check(const struct watched_options *options)
{
    struct address address;
    struct dao_text why;

    if (options->metrics && address_parse(&address, options->metrics, &why) < 0) {
        fprintf(stderr, "daorec record: --metrics %s\n", why.s);
        return EXIT_WRONG_USAGE;
    }
    if (options->metrics && !http_is_built()) {
        fprintf(stderr,
                "daorec record: --metrics: this daorec was built without libmicrohttpd; install "
                "libmicrohttpd-dev and build it again, or use --metrics-file\n");
        return EXIT_WRONG_USAGE;
    }
    return EXIT_DONE;
}

static int start_http(struct watched *watched, const struct watched_options *options,
                      const struct state_source *source)
{
    struct address address;
    struct dao_text why;
    int r;

    if (!options->metrics)
        return 0;
    r = address_parse(&address, options->metrics, &why);
    if (r == 0)
        r = http_start(&watched->http, &address, source, &why);
    if (r < 0)
        log_error("--metrics %s: %s", options->metrics, why.s);
    else if (!options->quiet)
        log_info("status page at http://%s/, metrics at http://%s/metrics",
                 http_address(watched->http), http_address(watched->http));
    return r;
}

static int start_textfile(struct watched *watched, const struct watched_options *options,
                          const struct state_source *source)
{
    struct dao_text why;
    int r;

    if (!options->metrics_file)
        return 0;
    r = textfile_start(&watched->textfile, options->metrics_file, source, &why);
    if (r < 0)
        log_error("--metrics-file %s", why.s);
    return r;
}

int watched_start(struct watched *watched, const struct watched_options *options)
{
    struct state_source source;
    int r;

    *watched = (struct watched){.http = NULL};
    board_init(&watched->board);
    source = board_source(&watched->board);
    r = start_http(watched, options, &source);
    if (r == 0)
        r = start_textfile(watched, options, &source);
    if (r == 0)
        return EXIT_DONE;
    watched_stop(watched);
    return EXIT_FAILED;
}

void watched_stop(struct watched *watched)
{
    textfile_stop(watched->textfile);
    http_stop(watched->http);
    board_fini(&watched->board);
}
