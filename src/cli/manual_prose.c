/* manual_prose.c - see manual_prose.h. Options are not told here: they have their tables. */
#include "cli/manual_prose.h"

#include <stddef.h>

const struct manual_prose manual_prose[] = {
    {"", "DESCRIPTION",
     "A control loop of adaptive optics publishes camera frames, slopes and mirror commands into "
     "DAO FIFO shared memory, at 1 to 10 kHz. daorec attaches to those segments as a reader, "
     "drains every frame, and streams the pixels into rolling FITS files. It never writes to a "
     "segment, never waits for the disk while it drains, and accounts for every frame: it is in a "
     "file, or it is counted as lost, with its cause.\n\n"
     "Segments are files such as /tmp/wfs.im.shm or /dev/shm/wfs.im.shm."},
    {"", "FILES",
     "= DIR/2026-11-24_02-01-08/\n"
     "A session: a folder named after the UTC time of its start, below --output.\n\n"
     "= .../wfs/wfs_000001.fits\n"
     "A finished file of the stream wfs: the cube of its frames, the table FRAMES with a row a "
     "frame, and the segment's keywords as the table SHMKW.\n\n"
     "= .../wfs/wfs_000002.fits.part\n"
     "The file being written. It is valid FITS at any instant.\n\n"
     "= .../session.json\n"
     "The ledger: what was expected, recorded and lost, and why."},
    {"", "EXIT STATUS",
     "= 0\nDone.\n\n= 1\nFailed.\n\n= 2\nWrong usage or configuration.\n\n"
     "= 3\nDone, but frames were lost."},
    {"", "EXAMPLES",
     "Can this machine record a camera of 800 x 800 pixels at 1 kHz?\n\n"
     "    daorec doctor /data --stream 800x800:uint16@1000\n\n"
     "Record two segments until Ctrl-C:\n\n"
     "    daorec record -o /data /tmp/wfs.im.shm /tmp/dm.im.shm\n\n"
     "Without a telescope at hand, a source to try it on, in another terminal:\n\n"
     "    daorec sim /dev/shm/wfs.im.shm --size 800x800 --rate 1000"},

    {"*", "EXIT STATUS", "= 0\nDone.\n\n= 1\nFailed.\n\n= 2\nWrong usage."},

    {"record", "DESCRIPTION",
     "Each segment becomes a stream, named like its file up to the first dot. A file ends at the "
     "first of --roll-frames, --roll-size and --roll-time, and the next one begins with the frame "
     "that follows; no frame is lost between them. Unless --roll-frames or --roll-together is "
     "given the first file of a stream is a small one, of at most 10 000 frames or 64 MiB, since "
     "its size is set before the stream's rate is known.\n\n"
     "Frames are taken from shared memory by a thread that never waits for the disk: one for up to "
     "16 streams, and one for each that is fast, or large. "
     "Where the disk is slower than the source they wait in --buffer, then in the FIFO; what is "
     "overwritten there is counted as lost to the disk.\n\n"
     "A segment that disappears is waited for; one that comes back in another shape gets files of "
     "that shape. With one of --keep-files, --keep-size and --keep-time the recordings become a "
     "ring: the oldest finished files are removed, but for those that daorec-keep(1) has "
     "marked.\n\n"
     "A configuration file, daorec.yaml(5), says the same and more; options given beside it "
     "override it.\n\n"
     "While it runs on a terminal, a line shows MB/s and the time until the disk is full, then per "
     "stream rate, frames, losses, FIFO backlog and buffer. Elsewhere it is one line a minute."},
    {"record", "SIGNALS",
     "= SIGINT, SIGTERM\n"
     "End the recording in order: what was published by then is recorded. A second one gives up "
     "what is still in the FIFO; one that comes while only commands of --on-... are waited for "
     "kills them.\n\n"
     "= SIGHUP\n"
     "With --config or --control: read the configuration file again, as daorec-ctl(1) reload does, "
     "and say what has changed and what cannot while recording. When the terminal is closed, and "
     "without these options: the same as SIGTERM, unless it was ignored at the start (nohup).\n\n"
     "= SIGUSR1\nBegin the next file of every stream."},
    {"record", "COMMANDS",
     "Those of --on-file-closed, --on-loss and --on-low-disk are run by sh beside the recording, "
     "one at a time of each kind, without real-time priority, and killed after 30 s; their output "
     "goes to standard error. Losses of a stream within a second are one event; a low disk is told "
     "once, and again only after there was more room. At its end a recording waits up to 30 s for "
     "what is still to be told. The facts are in the environment:\n\n"
     "= DAOREC_EVENT\nWhich event it is: file-closed, loss or low-disk.\n\n"
     "= DAOREC_TIME\nWhen it was told, in UTC.\n\n"
     "= DAOREC_SESSION\nThe name of the session.\n\n"
     "= DAOREC_FOLDER\nIts folder, as an absolute path.\n\n"
     "= DAOREC_FREE_BYTES\nRoom on the disk, as last looked at.\n\n"
     "= DAOREC_STREAM\nThe stream; of file-closed and loss.\n\n"
     "= DAOREC_LOST\nFrames lost: of file-closed, in the file or just before it; of loss, since "
     "the event before.\n\n"
     "= DAOREC_CAUSE\nOf file-closed, why the file ended (its card ENDCAUSE); of loss, the causes "
     "lapped, disk, source and restart, with commas between.\n\n"
     "= DAOREC_LOST_TOTAL\nOf loss: frames of the stream that the session has lost.\n\n"
     "= DAOREC_FILE\nOf file-closed: the path of the file.\n\n"
     "= DAOREC_FRAMES\nOf file-closed: frames in it.\n\n"
     "= DAOREC_BYTES\nOf file-closed: its size.\n\n"
     "= DAOREC_MISSED\nOf file-closed: files that were closed before it and not told, since more "
     "than 64 waited."},
    {"record", "EXIT STATUS",
     "= 0\nDone; every frame is in a file.\n\n= 1\nFailed.\n\n= 2\nWrong usage or "
     "configuration.\n\n= 3\nDone, but frames were lost; the summary and session.json say how "
     "many, when and why."},
    {"record", "EXAMPLES",
     "Two segments until Ctrl-C, the next file every 10 s:\n\n"
     "    daorec record -o /data --roll-time 10s /tmp/wfs.im.shm /tmp/dm.im.shm\n\n"
     "Keep the last 2 TiB:\n\n"
     "    daorec record -o /data --keep-size 2TiB /tmp/wfs.im.shm\n\n"
     "Wait for the segment, record 1000 frames, and give the result to a program:\n\n"
     "    daorec record --wait -n 1000 --json /tmp/wfs.im.shm > result.json"},

    {"replay", "EXIT STATUS",
     "= 0\nDone.\n\n= 1\nFailed.\n\n= 2\nWrong usage.\n\n"
     "= 3\nDone, but some frames were unreadable or did not fit their checksums."},
    {"replay", "EXAMPLES",
     "A session, each stream into the segment it was recorded from, at the recorded intervals:\n\n"
     "    daorec replay /data/2026-11-24_02-01-08\n\n"
     "One stream, over and over, ten times as fast, into a segment of its own:\n\n"
     "    daorec replay --to /dev/shm/again.im.shm --speed 10 --loop 0 \\\n"
     "        /data/2026-11-24_02-01-08/wfs"},

    {"sim", "EXAMPLES",
     "A camera at 1 kHz whose segment is gone afterwards:\n\n"
     "    daorec sim /dev/shm/wfs.im.shm --size 800x800 --rate 1000 --remove"},

    {"drops", "EXIT STATUS",
     "= 0\nDone; nothing was lost.\n\n= 1\nFailed.\n\n= 2\nWrong usage.\n\n= 3\nDone; frames "
     "were lost."},
    {"drops", "EXAMPLES",
     "What does a reader lose here, in a minute?\n\n"
     "    daorec drops -d 1min /tmp/wfs.im.shm\n\n"
     "Which frames of wfs have no partner in dm?\n\n"
     "    daorec drops --align wfs,dm /data/2026-11-24_02-01-08"},

    {"info", "DESCRIPTION",
     "Of a recording it also tells what was noted with daorec-ctl(1) mark while it was made: when "
     "(UTC), and the count of the last frame of this file that was taken before. Whole texts, and "
     "those for which the file's header had no room, come from the session's ledger, "
     "session.json in the folder above."},
    {"info", "EXAMPLES", "    daorec info /tmp/wfs.im.shm wfs_000001.fits"},

    {"verify", "EXIT STATUS",
     "= 0\nNo doubt.\n\n= 1\nA doubt, or something could not be read.\n\n= 2\nWrong usage."},
    {"verify", "EXAMPLES", "    daorec verify /data/2026-11-24_02-01-08"},

    {"repair", "EXAMPLES",
     "Say what would be done, then do it:\n\n"
     "    daorec repair /data\n    daorec repair --apply /data"},

    {"extract", "EXIT STATUS",
     "= 0\nDone.\n\n= 1\nFailed.\n\n= 2\nWrong usage.\n\n"
     "= 3\nDone, but some frames do not fit their checksums."},
    {"extract", "EXAMPLES",
     "One second of a night:\n\n"
     "    daorec extract --from 02:01:09 --until 02:01:10 --stream wfs \\\n"
     "        -o second.fits /data/2026-11-24_02-01-08\n\n"
     "Every tenth frame as a numpy array:\n\n"
     "    daorec extract --every 10 -o wfs.npy /data/2026-11-24_02-01-08/wfs"},

    {"doctor", "EXIT STATUS",
     "= 0\nThis machine can record that.\n\n= 1\nSomething would lose frames, or the folder is of "
     "no use.\n\n= 2\nWrong usage."},
    {"doctor", "EXAMPLES",
     "    daorec doctor /data --stream 800x800:uint16@1000 --stream '32*97:float32@1000:64'"},

    {"check", "EXAMPLES",
     "What is wrong with a file, and what would be recorded by it?\n\n"
     "    daorec check /etc/daorec/daorec.yaml"},

    {"ctl", "DESCRIPTION",
     "The recorder was begun with --control, or its configuration file says control. The answer "
     "comes when it has happened, as text or with --json, or after --timeout that it has not.\n\n"
     "= status\nSay whether it records, where to, and of each stream its rate, frames, losses, "
     "FIFO and buffer.\n\n"
     "= start\nBegin a session in the running process, by the configuration as it was read last, "
     "and say the same of it.\n\n"
     "= stop\nEnd the session in order, as SIGTERM would, but not the process; say how it came "
     "out.\n\n"
     "= roll\nEnd the file of every stream and begin the next one; tell the names of both.\n\n"
     "= mark TEXT\nNote an event, with its time, in session.json and as a HISTORY card in the file "
     "of each stream that is being written.\n\n"
     "= reload\nRead the configuration file again. Limits of rolling and of room and the latency "
     "change between two frames; limits of what is kept (keep.files, keep.size, keep.time) do so, "
     "too, where the session began with one; what changed is noted, with its time, in "
     "session.json. What cannot change is told with what to do, and has no effect until then: stop "
     "and start, or, for control, metrics and eager_start, end the program and start it again. A "
     "file that is wrong, and limits of what is kept that are too narrow for the files that are "
     "being recorded, are refused, and nothing changes.\n\n"
     "A process that was begun idle, or was told to start or stop, ends at SIGTERM; another one "
     "with its session."},
    {"ctl", "FILES",
     "= $XDG_RUNTIME_DIR/daorec/control\n"
     "The socket, unless --socket says another one. Its owner and group may ask.\n\n"
     "= /run/daorec/control\nThe same for root."},
    {"ctl", "EXIT STATUS",
     "= 0\nDone.\n\n= 1\nNot done, not within --timeout, or nobody is there; of stop also: the "
     "session has failed.\n\n= 2\nWrong usage.\n\n= 3\nOf stop: the session has ended in order, "
     "but frames were lost."},
    {"ctl", "EXAMPLES",
     "    daorec ctl mark loop closed, seeing 0.6\n    daorec ctl stop && daorec ctl start"},

    {"top", "DESCRIPTION",
     "The recorder was begun with --control, or its configuration file says control. A row is a "
     "stream: rate, frames, losses, FIFO, buffer, MB/s, and the latency of the last looks (p99 of "
     "the frames that came between two of them). What does not fit the terminal is left out."},
    {"top", "KEYS",
     "= r\nEnd the file of every stream, and begin the next one.\n\n"
     "= m\nMark this moment: type a text and Enter; Esc gives it up.\n\n"
     "= s\nStop the recording, after y.\n\n"
     "= up, down, k, j\nThe stream that is told of below the table.\n\n"
     "= q\nLeave; the recording goes on."},

    {"keep", "EXAMPLES", "    daorec keep /data/2026-11-24_02-01-08/wfs/wfs_000017.fits"},

    {"help", "EXAMPLES",
     "    daorec help record\n\n"
     "Completion in this shell, where it was not installed:\n\n"
     "    source <(daorec help --bash-completion)"},

    {"daorec.yaml", "DESCRIPTION",
     "A file in YAML that daorec-record(1) is given with -c; its options override the file. "
     "daorec-check(1) tells every mistake in one, each with its line, and what would be recorded; "
     "nothing starts by a file with a mistake. daorec record --print-config prints a file with "
     "every key, what it means and what it is set to.\n\n"
     "What stands at the top holds for every source, unless that says something else. Of file:// a "
     "copy is made in the session's folder files.d. file_rollover takes all three limits, or one "
     "value alone, which is frames without a unit. overload says what happens when the disk does "
     "not keep up, memory is full, and frames wait in the FIFO: drop-newest loses what is "
     "overwritten there meanwhile, in one gap; decimate N records each N-th frame once half of the "
     "FIFO is full, until half of the memory is free; stop ends the recording of all streams, in "
     "order and with status 1, before the first frame is lost.\n\n"
     "Sizes are written 64MiB or 1.5GB, durations 500ms, 10s, 5min or 2h. $VAR and ${VAR} in a "
     "value are taken from the environment, $$ is a dollar, but for the commands of hooks, whose "
     "variables are the shell's. Merged mappings (<<) and a second document are mistakes."},
    {"daorec.yaml", "FILES",
     "= /etc/daorec/daorec.yaml\nThat of the service daorec. Where this may begin before its "
     "sources, wait is to be forever: else it fails, and is started again and again.\n\n"
     "= /usr/share/doc/daorec/examples/\nExamples: a minimal one, one with every key, and one of "
     "the size of an extremely large telescope."},
    {"daorec.yaml", "EXAMPLES",
     "    root_storage: /data\n    sources:\n      - uri: smem:///tmp/wfs.im.shm\n"
     "      - uri: smem:///tmp/dm.im.shm\n    file_rollover: 10min\n    keep:\n"
     "      size: 2TiB"},
    {NULL, NULL, NULL},
};
