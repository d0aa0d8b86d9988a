/* version.h - the one place where the version is written; the Makefile, the manual pages and the
 * packages have it from here. */
#ifndef DAOREC_BASE_VERSION_H
#define DAOREC_BASE_VERSION_H

#define DAOREC_VERSION "0.1.0"
#define DAOREC_DATE    "2026-11-26" /* of this version */

#endif
