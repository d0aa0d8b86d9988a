/* manual_config.h - the manual page of the configuration file, from its table of keys. */
#ifndef DAOREC_CLI_MANUAL_CONFIG_H
#define DAOREC_CLI_MANUAL_CONFIG_H

#include <stdio.h>

/* daorec.yaml(5), as mdoc. 0 or -ENOMEM. */
int manual_config_print(FILE *out);

#endif
