/*
 * base.c - the two helpers of dao.h that have nothing to do with segments. Any thread may call.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/dao.h"

unsigned daoBaseIp2Int(const char *ip)
{
    struct in_addr address;

    return ip && inet_pton(AF_INET, ip, &address) == 1 ? ntohl(address.s_addr) : 0;
}

/* From malloc() rather than static: a program that gives it to free() is right, and one that does
 * not loses a few bytes, while the other way round the first would crash. */
char *daoBaseGetTimeStamp(void)
{
    const size_t bytes = 64;
    char *text = malloc(bytes), seconds[32];
    struct timespec now;
    struct tm utc;

    if (!text)
        return NULL;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, bytes, "%s.%06ld", seconds, now.tv_nsec / 1000);
    return text;
}
