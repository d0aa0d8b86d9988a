/*
 * system.h - what /proc, /sys and /dev say, below a root: "" is this machine, and a test gives a
 * folder of its own making. Blocking, any thread; nothing is changed.
 */
#ifndef DAOREC_DOCTOR_SYSTEM_H
#define DAOREC_DOCTOR_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SYSTEM_TEXT_BYTES 4096

/* The beginning of a small file, without the newline at its end. False: it cannot be read; then
 * ret is "". */
bool system_read(const char *root, const char *path, char ret[SYSTEM_TEXT_BYTES]);

/* A file that holds one number. */
bool system_number(const char *root, const char *path, int64_t *ret);

/* Does this path exist? */
bool system_has(const char *root, const char *path);

/* "Field:   value" of a file such as /proc/self/status. False: no such field. */
bool system_field(const char *root, const char *path, const char *field,
                  char ret[SYSTEM_TEXT_BYTES]);

/* A line of /proc/self/limits, "Max locked memory"; UINT64_MAX: unlimited. */
bool system_limit(const char *root, const char *name, uint64_t *ret_soft, uint64_t *ret_hard);

/* Does this process have the capability of that number? */
bool system_capability(const char *root, unsigned number);

/* What is chosen in "always [madvise] never"; false: nothing. */
bool system_choice(const char *text, char *ret, size_t ret_bytes);

/* How many there are in "0-3,8"; 0 for "". And is one of them in it? */
unsigned system_list_count(const char *list);
bool system_list_has(const char *list, unsigned number);

/* The CPUs that this process may use by its cgroup's quota; 0: there is no quota. */
double system_cgroup_cpus(const char *root);

/* What its cgroup leaves of memory, in bytes; UINT64_MAX: no limit. */
uint64_t system_cgroup_memory(const char *root);

/* Bytes that could be given without harm, by /proc/meminfo and cgroup; UINT64_MAX: not known. */
uint64_t system_memory_available(const char *root);
uint64_t system_memory_total(const char *root); /* 0: not known */

/* Programs `comm` that hold a shared lock of a file on this device, as a recorder does of its
 * session's folder. */
unsigned system_lock_holders(const char *root, const char *comm, dev_t device);

#endif
