/*
 * top.h - is the verb `top` part of this program? It takes ncurses at build time.
 */
#ifndef DAOREC_CLI_TOP_H
#define DAOREC_CLI_TOP_H

#include <stdbool.h>

bool top_is_built(void);

#endif
