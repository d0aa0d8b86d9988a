/*
 * fuzz_summary.c - what `daorec info` makes of a FITS file, any bytes.
 *
 * What must hold: no crash, no endless loop, memory within bounds; where it is refused there is a
 * text, and nothing was filled in.
 */
#include "recording/summary.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct recording_summary summary;
    struct dao_text text = {""};
    char path[64];
    int fd;

    if (!recording_is_fits(data, size))
        return 0;
    fd = fuzz_file(path, data, size);
    memset(&summary, 0xa5, sizeof summary);
    if (recording_summary_read(&summary, path, &text) < 0) {
        FUZZ_MUST(text.s[0] != '\0');
        FUZZ_MUST(summary.hdus == (int)0xa5a5a5a5);
    } else {
        FUZZ_MUST(summary.file_bytes == size);
        FUZZ_MUST(summary.naxis >= 0 && summary.naxis <= SUMMARY_AXES_MAX);
        FUZZ_MUST(memchr(summary.type, 0, sizeof summary.type));
        FUZZ_MUST(memchr(summary.stream, 0, sizeof summary.stream));
        FUZZ_MUST(memchr(summary.segment, 0, sizeof summary.segment));
    }
    close(fd);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate_fits(data, size, max_size, seed);
}
