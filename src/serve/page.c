/* page.c - see page.h. The assembler finds page.html from where make runs. */
#include "serve/page.h"

__asm__(".pushsection .rodata\n"
        ".global page_html, page_html_end\n"
        ".hidden page_html, page_html_end\n"
        "page_html:\n"
        ".incbin \"src/serve/page.html\"\n"
        "page_html_end:\n"
        ".byte 0\n"
        ".popsection\n");
