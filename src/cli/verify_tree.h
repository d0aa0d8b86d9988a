/*
 * verify_tree.h - daorec verify, folders: see verify_tree.c.
 */
#ifndef DAOREC_CLI_VERIFY_TREE_H
#define DAOREC_CLI_VERIFY_TREE_H

#include "cli/verify_say.h"
#include "recording/find.h"

/* Everything in a tree that was found below `root`. 0 or -ENOMEM. */
int verify_check_tree(struct verify_run *run, const struct find_tree *tree, const char *root);

#endif
