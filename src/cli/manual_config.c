/* manual_config.c - see manual_config.h. Keys are told as config_print_keys() lists them. */
#include "cli/manual_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/manual_prose.h"
#include "cli/mdoc.h"
#include "config/config.h"

/* The columns of the list. */
enum column { KEY, TYPE, ALLOWED, FALLBACK, ALIAS, OPTION, HELP, COLUMNS };

static void facts(FILE *out, char *const columns[COLUMNS])
{
    char *text = NULL;
    int length = asprintf(&text, "Allowed: %s%s%s%s%s%s%s", columns[ALLOWED],
                          *columns[FALLBACK] ? "; default " : "", columns[FALLBACK],
                          *columns[ALIAS] ? "; also named " : "", columns[ALIAS],
                          *columns[OPTION] ? "; as --" : "", columns[OPTION]);

    if (length < 0)
        return;
    fputs(".br\n", out);
    mdoc_sentence(out, text);
    free(text);
}

static void print_key(FILE *out, char *line)
{
    char *columns[COLUMNS];

    for (unsigned i = 0; i < COLUMNS; i++) {
        columns[i] = strsep(&line, "\t");
        if (!columns[i])
            return;
    }
    fprintf(out, ".It Sy %s\n", columns[KEY]);
    mdoc_sentence(out, columns[HELP]);
    facts(out, columns);
}

static void section(FILE *out, const char *title)
{
    for (const struct manual_prose *p = manual_prose; p->verb; p++) {
        if (strcmp(p->verb, "daorec.yaml") != 0 || strcmp(p->title, title) != 0)
            continue;
        fprintf(out, ".Sh %s\n", title);
        mdoc_prose(out, p->text);
    }
}

int manual_config_print(FILE *out)
{
    char *list = NULL, *rest, *line;
    size_t bytes;
    FILE *keys = open_memstream(&list, &bytes);

    if (!keys)
        return -ENOMEM;
    config_print_keys(keys);
    if (fclose(keys) != 0) {
        free(list);
        return -ENOMEM;
    }
    mdoc_begin(out, "daorec.yaml", "5");
    fputs(".Sh NAME\n.Nm daorec.yaml\n.Nd what daorec is to record, and how\n", out);
    section(out, "DESCRIPTION");
    fputs(".Sh KEYS\nA dot stands for a key below another.\n.Bl -tag -width Ds\n", out);
    rest = list;
    while ((line = strsep(&rest, "\n")))
        print_key(out, line);
    fputs(".El\n", out);
    free(list);
    section(out, "FILES");
    section(out, "EXAMPLES");
    fputs(".Sh SEE ALSO\n.Xr daorec 1 ,\n.Xr daorec-check 1 ,\n.Xr daorec-record 1\n", out);
    return 0;
}
