/*
 * log.h - messages of the API's functions to stderr. For api_*.c; the core prints nothing.
 */
#ifndef DAO_LOG_H
#define DAO_LOG_H

#define DAO_LOG_ALWAYS (-1)

/* One line "[label] function: message" in one write, where daoLogLevel >= level (DAO_WARNING,
 * DAO_INFO, DAO_DEBUG, DAO_TRACE, or DAO_LOG_ALWAYS for errors). errno is kept. Any thread. */
void dao_log(int level, const char *function, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...)   dao_log(DAO_LOG_ALWAYS, __func__, __VA_ARGS__)
#define log_warning(...) dao_log(DAO_WARNING, __func__, __VA_ARGS__)
#define log_info(...)    dao_log(DAO_INFO, __func__, __VA_ARGS__)

#endif
