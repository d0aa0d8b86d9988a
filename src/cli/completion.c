/*
 * completion.c - see completion.h.
 *
 * The script is a part that knows bash and no verb, and one case a verb that is made here. What may
 * stand for a value is read off its name in the table: words in small letters with bars between are
 * a choice, DIR is a folder, FILE, OUT, PATH and SHM are files, TYPE is an element type; of
 * anything else nothing is known.
 */
#include "cli/completion.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "lib/dtype.h"

/* ---- what stands for a value ---- */

static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = strstr(list, word); at; at = strstr(at + 1, word)) {
        bool begins = at == list || !isalnum((unsigned char)at[-1]);

        if (begins && !isalnum((unsigned char)at[length]))
            return true;
    }
    return false;
}

/* Words in small letters; anything from a blank on is what such a word is followed by. */
static void print_choices(FILE *out, const char *arg)
{
    bool is_first = true;

    while (*arg) {
        size_t length = strcspn(arg, "|"), word = strcspn(arg, "| ");

        if (word > 0 && islower((unsigned char)arg[0])) {
            fprintf(out, "%s%.*s", is_first ? "" : " ", (int)word, arg);
            is_first = false;
        }
        arg += length + (arg[length] == '|');
    }
}

static void print_types(FILE *out)
{
    for (unsigned type = 1; type <= DAO_DTYPE_COUNT; type++)
        fprintf(out, "%s%s", type > 1 ? " " : "", dao_dtype_get(type)->name);
}

/* The body of a case: what to offer. */
static void print_offer(FILE *out, const char *arg)
{
    bool is_folder = has_word(arg, "DIR");

    if (islower((unsigned char)arg[0]) && strchr(arg, '|')) {
        fputs("_daorec_words \"", out);
        print_choices(out, arg);
        fputs("\"", out);
    } else if (strcmp(arg, "TYPE") == 0) {
        fputs("_daorec_words \"", out);
        print_types(out);
        fputs("\"", out);
    } else if (strcmp(arg, "[VERB]") == 0) {
        fputs("_daorec_words \"$verbs\"", out);
    } else if (has_word(arg, "FILE") || has_word(arg, "OUT") || has_word(arg, "PATH") ||
               has_word(arg, "SHM")) {
        fputs("_daorec_files -f", out);
    } else if (is_folder) {
        fputs("_daorec_files -d", out);
    } else {
        fputs(":", out);
    }
}

/* ---- a verb ---- */

static void print_options(FILE *out, const struct option_spec *specs)
{
    fputs("        options='--help --version", out);
    for (const struct option_spec *s = specs; s->name; s++)
        fprintf(out, " --%s%s", s->name,
                options_value_of(s->kind) == OPTION_VALUE_REQUIRED ? "=" : "");
    fputs("'\n", out);
}

static void print_values(FILE *out, const struct option_spec *specs)
{
    fputs("        case $option in\n", out);
    for (const struct option_spec *s = specs; s->name; s++) {
        enum option_value value = options_value_of(s->kind);

        if (value == OPTION_VALUE_NONE)
            continue;
        fprintf(out, "        --%s", s->name);
        if (s->letter)
            fprintf(out, " | -%c", s->letter);
        fputs(") ", out);
        if (value == OPTION_VALUE_OPTIONAL) /* it is given with a =, or not at all */
            fputs("((glued)) || return 1; ", out);
        print_offer(out, s->arg ? s->arg : "");
        fputs(" ;;\n", out);
    }
    fputs("        *) return 1 ;;\n        esac\n", out);
}

static void print_verb(FILE *out, const char *name, const struct verb_usage *usage)
{
    fprintf(out, "    %s)\n", name);
    print_options(out, usage->specs);
    fputs("        case $what in\n        value)\n", out);
    print_values(out, usage->specs);
    fputs("            ;;\n        argument) ", out);
    print_offer(out, usage->arguments ? usage->arguments : "");
    fputs(" ;;\n        esac\n        ;;\n", out);
}

/* ---- the script ---- */

static const char before[] =
    "# bash completion for daorec; made by: daorec help --bash-completion\n"
    "\n"
    "_daorec_words() {\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$current\")\n"
    "    # A name that ends in = goes on with its value.\n"
    "    [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null || :\n"
    "}\n"
    "\n"
    "_daorec_files() {\n"
    "    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$current\")\n"
    "    compopt -o filenames 2>/dev/null || :\n"
    "}\n"
    "\n"
    "# What the verb's table offers for a `value` of $option, or an `argument`; sets $options.\n"
    "_daorec_verb() {\n"
    "    local what=$1\n"
    "    case $verb in\n";

static const char after[] =
    "    *) return 1 ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "_daorec() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]-}\n"
    "    local before=${COMP_WORDS[COMP_CWORD - 1]} option='' options='' glued=0\n";

static const char rest[] = "    COMPREPLY=()\n"
                           "    if ((COMP_CWORD == 1)); then\n"
                           "        _daorec_words \"$verbs --help --version\"\n"
                           "        return\n"
                           "    fi\n"
                           "    # Bash parts --option=value at the =.\n"
                           "    if [[ $current == = ]]; then\n"
                           "        option=$before current='' glued=1\n"
                           "    elif [[ $before == = ]] && ((COMP_CWORD > 2)); then\n"
                           "        option=${COMP_WORDS[COMP_CWORD - 2]} glued=1\n"
                           "    else\n"
                           "        option=$before\n"
                           "    fi\n"
                           "    if [[ $option == -* ]] && _daorec_verb value; then\n"
                           "        return\n"
                           "    fi\n"
                           "    if [[ $current == -* ]]; then\n"
                           "        _daorec_verb nothing\n"
                           "        _daorec_words \"$options\"\n"
                           "    else\n"
                           "        _daorec_verb argument\n"
                           "    fi\n"
                           "}\n"
                           "\n"
                           "complete -F _daorec daorec\n";

void completion_print(FILE *out, const struct verb_table *table)
{
    fputs(before, out);
    for (size_t i = 0; i < table->count; i++) {
        const struct verb_usage *usage = tables_usage(&table->verbs[i]);

        if (usage)
            print_verb(out, table->verbs[i].name, usage);
    }
    fputs(after, out);
    fputs("    local verbs='", out);
    for (size_t i = 0; i < table->count; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", table->verbs[i].name);
    fputs("'\n", out);
    fputs(rest, out);
}
