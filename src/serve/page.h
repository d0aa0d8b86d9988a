/*
 * page.h - the status page, as it is in page.html: built into the program. Any thread.
 */
#ifndef DAOREC_SERVE_PAGE_H
#define DAOREC_SERVE_PAGE_H

#include <stddef.h>

extern const char page_html[], page_html_end[];

static inline size_t page_html_bytes(void)
{
    return (size_t)(page_html_end - page_html);
}

#endif
