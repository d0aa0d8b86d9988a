/* exit_status.h - what the program's exit status says, whichever verb it was. */
#ifndef DAOREC_BASE_EXIT_STATUS_H
#define DAOREC_BASE_EXIT_STATUS_H

enum exit_status {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_WRONG_USAGE = 2, /* of options or configuration */
    EXIT_FRAMES_LOST = 3, /* done, but frames were lost */
};

#endif
