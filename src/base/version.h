/* version.h - the one place where the version is written; the Makefile reads it from here. */
#ifndef DAOREC_BASE_VERSION_H
#define DAOREC_BASE_VERSION_H

#define DAOREC_VERSION "0.1.0"

#endif
