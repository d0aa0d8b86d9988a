#!/usr/bin/env python3
"""Configuration files: every mistake with its message, that every key arrives, examples, and the
table of keys in README.md.

    tests/integration/test_config.py --table     prints the table for README.md
"""
import glob
import hashlib
import json
import os
import re
import subprocess
import sys

import numpy as np
from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILE = os.path.join(h.output, "test.yaml")
GOOD = "sources: [/tmp/a.im.shm]\n"
ADDRESS = "a port such as 9464, or an address and a port such as 127.0.0.1:9464"
FRAMES = "a whole number, 1 to 9000000000000000, or 0"
SIZE = "a size such as 64MiB or 1.5GB, "
TIME = "a duration such as 500ms, 10s or 5min, "
ROLL = ("frames (5000), a size (1GiB), a time (10min), or a mapping with frames, size and time")
URI = "smem:///path, file:///path, or the path of a segment"
CPUS = "CPUs such as 2, 0-3,8 or [0, 2]"
POLICY = "drop-newest, decimate N (2 to 1000000) or stop"
SOURCES = "a list of sources, each with a uri"
SOCKET = "true (where daorec ctl looks for it), false, or a path with a slash"
DEEP = "is nested too deeply; allowed: up to 64 lists and mappings in each other"
MUCH = ("is more than a configuration may hold, with each alias (*) as what it stands for; the most "
        "are 100000 keys and values, and 2 MiB")
TAGS = "is one %TAG too many; allowed: up to 16, and they mean nothing here"
MAP = "keys of its own below it: free, files, size, time"
NO_SEGMENT = ("sources: there is no segment to record; allowed: a list of sources, each with a uri "
              "such as smem:///tmp/wfs.im.shm")
EMPTY = "is empty; `daorec record --print-config` prints one to begin with"


def run(*arguments, **options):
    return subprocess.run([os.path.abspath(h.DAOREC), *map(str, arguments)], capture_output=True,
                          text=True, timeout=60, check=False, **options)


def write(content, path=FILE):
    with open(path, "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())
    return path


# ---- mistakes: what stands behind the good line, and what is said of it; {F} is the file. A line
# ---- number counts from the line after it.

VALUES = (
    # numbers
    ("samples: many", "samples: 'many' is no whole number; allowed: " + FRAMES),
    ("samples: 1.5", "samples: '1.5' is no whole number; allowed: " + FRAMES),
    ("samples: -1", "samples: '-1' is no whole number; allowed: " + FRAMES),
    ("samples: 9e3", "samples: '9e3' is no whole number; allowed: " + FRAMES),
    ("samples: 9000000000000001", "samples: '9000000000000001' is too large; allowed: " + FRAMES),
    ("samples: 99999999999999999999",
     "samples: '99999999999999999999' is too large; allowed: " + FRAMES),
    ("samples: [1]", "samples: is a list; allowed: " + FRAMES),
    ("samples: {a: 1}", "samples: is a mapping; allowed: " + FRAMES),
    ("samples:", "samples: has no value; allowed: " + FRAMES),
    ("samples: ~", "samples: has no value; allowed: " + FRAMES),
    ("samples: ''", "samples: has no value; allowed: " + FRAMES),
    ("samples: 010", "samples: '010' begins with a zero, which may mean octal; allowed: " + FRAMES),
    ("duration: 05s", "duration: '05s' begins with a zero, which may mean octal; "
     f"allowed: {TIME}1ms to 36500d, or 0"),
    ("file_rollover: 010", "file_rollover.frames: '010' begins with a zero, which may mean octal; "
     "allowed: a whole number, 1 to 1000000000000, or 0"),
    ("keep: {free: 010%}", "keep.free: '010%' begins with a zero, which may mean octal; allowed: "
     "a size such as 10GiB, or a part such as 2%, 0% to 100%"),
    ("overload: decimate 010", "overload: 'decimate 010' wants a number from 2 to 1000000, such "
     f"as decimate 4; allowed: {POLICY}"),
    ("frames: x", "samples: 'x' is no whole number; allowed: " + FRAMES),
    ("priority: 100", "priority: '100' is too large; allowed: a whole number, 1 to 99, or 0"),
    # sizes
    ("buffer_limit: 64 apples",
     f"buffer_limit: '64 apples' is no size; allowed: {SIZE}1MiB to 70TB, or 0"),
    ("buffer_limit: 512", "buffer_limit: '512' is too small (without a unit it is bytes); "
     f"allowed: {SIZE}1MiB to 70TB, or 0"),
    ("buffer_limit: 1EiB", f"buffer_limit: '1EiB' is no size; allowed: {SIZE}1MiB to 70TB, or 0"),
    ("buffer_limit: 100TB",
     f"buffer_limit: '100TB' is too large; allowed: {SIZE}1MiB to 70TB, or 0"),
    # durations
    ("duration: soon", f"duration: 'soon' is no duration; allowed: {TIME}1ms to 36500d, or 0"),
    ("duration: 1us", f"duration: '1us' is too small; allowed: {TIME}1ms to 36500d, or 0"),
    ("duration: 40000d", f"duration: '40000d' is too large; allowed: {TIME}1ms to 36500d, or 0"),
    ("latency: 0", f"latency: '0' is too small; allowed: {TIME}10us to 1s"),
    ("latency: 100",
     f"latency: '100' is too large (without a unit it is seconds); allowed: {TIME}10us to 1s"),
    ("wait: 99999999999", "wait: '99999999999' is too large (without a unit it is seconds); "
     "allowed: no, forever, or a duration such as 10s"),
    ("latency: 2s", f"latency: '2s' is too large; allowed: {TIME}10us to 1s"),
    ("wait: long",
     "wait: 'long' is no duration; allowed: no, forever, or a duration such as 10s"),
    # words
    ("backlog: maybe", "backlog: 'maybe' is no true or false; allowed: true or false"),
    ("io: urin", "io: 'urin' is no choice; allowed: auto, uring or pwrite; did you mean 'uring'?"),
    ("io: fast", "io: 'fast' is no choice; allowed: auto, uring or pwrite"),
    ("overload: drop", f"overload: 'drop' is no policy; allowed: {POLICY}; "
     "did you mean 'drop-newest'?"),
    ("overload: decimate", "overload: 'decimate' wants a number from 2 to 1000000, such as decimate 4; "
     f"allowed: {POLICY}"),
    ("overload: decimate 1", "overload: 'decimate 1' wants a number from 2 to 1000000, such "
     f"as decimate 4; allowed: {POLICY}"),
    ("overload: stop 4", f"overload: 'stop 4' takes no number; allowed: {POLICY}"),
    # CPUs
    ("daq_affinity: all", f"daq_affinity: 'all' is no set of CPUs; allowed: {CPUS}"),
    ("daq_affinity: 3-1", f"daq_affinity: '3-1' is no set of CPUs; allowed: {CPUS}"),
    ("daq_affinity: 1024", f"daq_affinity: '1024' has a CPU beyond 1023; allowed: {CPUS}"),
    ("sink_affinity: [0, [1]]", f"sink_affinity: is a list; allowed: {CPUS}"),
    ("sink_affinity: {a: 0}", f"sink_affinity: is a mapping; allowed: {CPUS}"),
    # parts
    ("keep: {free: 101%}", "keep.free: '101%' is out of range; allowed: a size such as 10GiB, or a "
     "part such as 2%, 0% to 100%"),
    ("keep: {free: little}", "keep.free: 'little' is no size or part; allowed: a size such as "
     "10GiB, or a part such as 2%, 0% to 100%"),
    ("keep: {size: 1kB}", f"keep.size: '1kB' is too small; allowed: {SIZE}1MiB to 9PB, or 0"),
    ("keep: {files: 1e12}", "keep.files: '1e12' is no whole number; allowed: a whole number, 1 to "
     "1000000000, or 0"),
    ("keep: {time: 1ms}", f"keep.time: '1ms' is too small; allowed: {TIME}1s to 36500d, or 0"),
    ("keep: 2%", f"keep: is one value; allowed: {MAP}"),
    ("keep: [free]", f"keep: is a list; allowed: {MAP}"),
    ("keep:", f"keep: has no value; allowed: {MAP}"),
    ("metrics: 9464", "metrics: is one value; allowed: keys of its own below it: listen, textfile"),
    # rollover
    ("file_rollover: 10m", "file_rollover: '10m' could be megabytes or minutes: write MB or min; "
     f"allowed: {ROLL}"),
    ("file_rollover: often", "file_rollover: 'often' is neither frames, nor size, nor time; "
     f"allowed: {ROLL}"),
    ("file_rollover: 0", "file_rollover: '0' would never end a file, or at once; "
     f"allowed: {ROLL}"),
    ("file_rollover: 1KiB", "file_rollover.size: '1KiB' is too small; "
     f"allowed: {SIZE}64KiB to 70TB, or 0"),
    ("file_rollover: [1]", f"file_rollover: is a list; allowed: {ROLL}"),
    ("file_rollover: {size: 1}", "file_rollover.size: '1' is too small (without a unit it is "
     f"bytes); allowed: {SIZE}64KiB to 70TB, or 0"),
    ("file_rollover: {frames: -1}", "file_rollover.frames: '-1' is no whole number; allowed: "
     "a whole number, 1 to 1000000000000, or 0"),
    ("file_rollover: {time: 1us}", "file_rollover.time: '1us' is too small; "
     f"allowed: {TIME}1ms to 36500d, or 0"),
    # texts
    ("root_storage: ''", "root_storage: has no value; allowed: a path"),
    ("root_storage: ~/data", "root_storage: '~/data' begins with ~, which is the shell's: write "
     "$HOME; allowed: a path"),
    ("control: ~/socket", "control: '~/socket' begins with ~, which is the shell's: write "
     "$HOME; allowed: " + SOCKET),
    ("root_storage: [a]", "root_storage: is a list; allowed: a path"),
    ('root_storage: "a\\0b"', "root_storage: has a NUL character; allowed: a path"),
    ("keywords: {OBJECT: Ö}", "keywords.OBJECT: 'Ö' has other characters than the printable ones "
     "of ASCII; allowed: up to 60 characters of ASCII"),
    ("keywords: {ORIGIN: " + "x" * 61 + "}", "keywords.ORIGIN: '" + "x" * 61 + "' is too long; "
     "allowed: up to 60 characters of ASCII"),
    ("keywords: {ORIGIN: }", "keywords.ORIGIN: has no value; allowed: up to 60 characters of "
     "ASCII"),
    ("metrics: {listen: localhost:9464}", "metrics.listen: 'localhost:9464' is no address; "
     f"allowed: {ADDRESS}"),
    ("metrics: {listen: 127.0.0.1:99999}", "metrics.listen: '127.0.0.1:99999' is no address; "
     f"allowed: {ADDRESS}"),
    ("metrics: {textfile: /tmp/x.txt}", "metrics.textfile: '/tmp/x.txt' is no name for "
     "node_exporter; allowed: a path that ends in .prom"),
    ("metrics: {textfile: .prom}", "metrics.textfile: '.prom' is no name for "
     "node_exporter; allowed: a path that ends in .prom"),
    ("control: ture", f"control: 'ture' is no path of a socket; allowed: {SOCKET}; "
     "did you mean 'true'?"),
    ("control: 5", "control: '5' is no path of a socket; allowed: " + SOCKET),
    ("control: [a]", "control: is a list; allowed: " + SOCKET),
    ("control: /" + "x" * 107, "control: '/" + "x" * 107 + "' has 108 bytes, and a socket's path "
     "107 at most: give a shorter one; allowed: " + SOCKET),
    ("hooks: {loss: '  '}", "hooks.loss: '  ' is no command; allowed: a command for the shell"),
    # variables
    ("root_storage: /data/$DAOREC_NOT_SET", "root_storage: has $DAOREC_NOT_SET, which is not set "
     "in the environment; set it, or write $$ for a dollar"),
    ("root_storage: ${DAOREC_NOT_SET}/x", "root_storage: has $DAOREC_NOT_SET, which is not set in "
     "the environment; set it, or write $$ for a dollar"),
    ("root_storage: /data/$", "root_storage: has a $ without the name of a variable; write $$ for "
     "a dollar"),
    ("root_storage: ${DAOREC", "root_storage: has a $ without the name of a variable; write $$ "
     "for a dollar"),
    ("samples: $WORD", "samples: 'word' is no whole number; allowed: " + FRAMES),
    # keys
    ("sampels: 3", "sampels: no such key; did you mean 'samples'?"),
    ("buffer_limits: 3", "buffer_limits: no such key; did you mean 'buffer_limit'?"),
    ("listen: :9500", "listen: no such key here; it is metrics.listen"),
    ("size: 1GiB", "size: no such key here; it is file_rollover.size or keep.size"),
    ("keep: {root_storage: /}", "keep.root_storage: no such key here; it is root_storage, at the "
     "top of the file"),
    ("unit: adu", "unit: no such key here; it is sources.unit"),
    ("keep: {fre: 1%}", "keep.fre: no such key; did you mean 'free'?"),
    ("keep: {xyzzy: 1%}", "keep.xyzzy: no such key; allowed: free, files, size, time"),
    ("xyzzy: 1", "xyzzy: no such key; allowed: root_storage, sources, samples, duration, "
     "file_rollover, buffer_limit, overload, latency, backlog, wait, all, eager_start, "
     "daq_affinity, sink_affinity, priority, lock_memory, io, direct, keep, keywords, control, metrics, hooks"),
    ("? [a]\n: 1", "a key is a list; a key is a name"),
    ("<<: {samples: 1}",
     "<<: mappings are not merged; what holds for all sources stands at the top"),
    ("samples: 1\nsamples: 1", "@2 samples: stands here twice; leave one"),
    ("samples: 1\nframes: 1",
     "@2 samples: stands here twice ('frames' is the same key); leave one"),
    ("keep: {free: 1%}\nretention: {free: 1%}",
     "@2 keep: stands here twice ('retention' is the same key); leave one"),
    ("samples: !mine 3", "the tag !mine means nothing here; leave it out"),
    # YAML
    ("keep:\n\tfree: 1%", "@2 is no YAML: a tab; indent with spaces"),
    ("keep: {free: 1%", "@2 is no YAML: did not find expected ',' or '}', "
     "while parsing a flow mapping"),
    ("keep: 'free", "@2 is no YAML: found unexpected end of stream, "
     "while scanning a quoted scalar"),
    ("keep: *nothing", "is no YAML: found undefined alias"),
    ("keep: " + "[" * 63, "@2 is no YAML: did not find expected node content, "
     "while parsing a flow node"),
    ("keep: " + "[" * 30000, DEEP),
    ("keep: " + "{a: " * 64, DEEP),
    ("keep:\n  " + "- " * 64 + "a", "@2 " + DEEP),
    ("keep:\n  " + "? " * 64 + "a", "@2 " + DEEP),
    ("\n".join(" " * i + "a:" for i in range(65)), "@65 " + DEEP),
    ("# " + "[" * 200 + "\nkeep: '" + "[{" * 200, "@3 is no YAML: found unexpected end of stream, "
     "while scanning a quoted scalar"),
    ("keep: {free: " + "{free: " * 30 + "1%" + "}" * 31, "keep.free: is a mapping; allowed: a size such as "
     "10GiB, or a part such as 2%, 0% to 100%"),
    ("--- \nsamples: 1", "a second document begins; a configuration is one"),
)

# Whole files, and the lines about them; {F} is the file.
FILES = (
    ("", ("{F}: " + EMPTY,)),
    ("# nothing\n", ("{F}: " + EMPTY,)),
    ("---\n...\n", ("{F}: " + EMPTY,)),
    ("just a text\n", ("{F}:1: is one value; a configuration is a mapping of keys, such as "
                       "root_storage: /data",)),
    ("- a\n- b\n", ("{F}:1: is a list; a configuration is a mapping of keys, such as "
                    "root_storage: /data",)),
    ("samples: 3\n", ("{F}: " + NO_SEGMENT,)),
    ("sources: []\n", ("{F}: " + NO_SEGMENT,)),
    ("sources: [file:///tmp/x]\n", ("{F}: " + NO_SEGMENT,)),
    ("sources:\n", ("{F}:1: sources: has no value; allowed: " + SOURCES, "{F}: " + NO_SEGMENT)),
    ("sources: /tmp/a.im.shm\n", ("{F}:1: sources: is one value; allowed: " + SOURCES,
                                  "{F}: " + NO_SEGMENT)),
    ("sources: {uri: /tmp/a.im.shm}\n", ("{F}:1: sources: is a mapping; allowed: " + SOURCES,
                                         "{F}: " + NO_SEGMENT)),
    ("sources:\n- uri: /tmp/a\n- [a]\n",
     ("{F}:3: sources: a source is no list; allowed: " + SOURCES,)),
    ("sources:\n- uri: /tmp/a\n- samples: 1\n",
     ("{F}:3: sources: a source without a uri; allowed: " + URI,)),
    ("sources:\n- uri: /tmp/a\n- http:///tmp/b\n",
     ("{F}:3: sources.uri: 'http:///tmp/b' has a scheme that is unknown; allowed: " + URI,)),
    ("sources:\n- uri: /tmp/a\n- smem://tmp/b\n",
     ("{F}:3: sources.uri: 'smem://tmp/b' has no absolute path: it begins with three slashes; "
      "allowed: " + URI,)),
    ("sources:\n- /tmp/a\n- file:/tmp/calib.fits\n- smem:/dev/shm/x/wfs.im.shm\n- smem:a\n"
     "- FILE:/tmp/x\n- http:/tmp/x\n",
     tuple(f"{{F}}:{line}: sources.uri: '{uri}' is no URI: one begins with three slashes, "
           f"smem:///... or file:///...; allowed: {URI}" for line, uri in enumerate(
               ("file:/tmp/calib.fits", "smem:/dev/shm/x/wfs.im.shm", "smem:a", "FILE:/tmp/x",
                "http:/tmp/x"), start=3))),
    ("sources:\n- uri: /tmp/a\n- smem:///\n",
     ("{F}:3: sources.uri: 'smem:///' names nothing; allowed: " + URI,)),
    ("sources:\n- uri: /tmp/a\n- ''\n",
     ("{F}:3: sources.uri: '' names nothing; allowed: " + URI,)),
    ("sources:\n- /tmp/a.im.shm\n- smem:///tmp/a.im.shm\n",
     ("{F}:3: sources: 'smem:///tmp/a.im.shm' and '/tmp/a.im.shm' (in line 2) are one and the "
      "same; leave one",)),
    ("sources:\n- /tmp/a.im.shm\n- /tmp/a.im.shm\n",
     ("{F}:3: sources: '/tmp/a.im.shm' is there twice (also in line 2); leave one",)),
    ("sources:\n- &one /tmp/a.im.shm\n- *one\n",
     ("{F}:2: sources: '/tmp/a.im.shm' is there twice (also in line 2); leave one",)),
    ("sources:\n- /tmp/a.im.shm\n- /dev/shm/a.im.shm\n",
     ("{F}:3: sources: '/dev/shm/a.im.shm' and '/tmp/a.im.shm' (in line 2) would both be stream "
      "'a'; give one of them a name",)),
    ("sources:\n- /tmp/a.im.shm\n- {uri: /tmp/b.im.shm, name: a}\n",
     ("{F}:3: sources: '/tmp/b.im.shm' and '/tmp/a.im.shm' (in line 2) would both be stream "
      "'a'; give one of them a name",)),
    ("sources:\n- {uri: /tmp/a.im.shm, name: a/b}\n",
     ("{F}:2: sources.name: 'a/b' is no name of a stream; allowed: up to 56 of A-Z a-z 0-9 _ -",)),
    ("sources:\n- /tmp/" + "a" * 57 + ".im.shm\n",
     ("{F}:2: sources.uri: '/tmp/" + "a" * 57 + ".im.shm' makes too long a name for a stream; give "
      "it a name of at most 56 characters",)),
    ("sources:\n- /tmp/a\n- file:///tmp/x\n- file:///etc/x\n",
     ("{F}:4: sources: 'file:///etc/x' and 'file:///tmp/x' (in line 3) would both be copied as "
      "'x'; link one of them under another name",)),
    ("sources:\n- /tmp/a\n- file:///tmp/.x\n",
     ("{F}:3: sources.uri: 'file:///tmp/.x' is a hidden file; link it under a name that does not "
      "begin with a dot",)),
    ("sources:\n- /tmp/a\n- file:///tmp/\n",
     ("{F}:3: sources.uri: 'file:///tmp/' names no file; give one",)),
    ("sources:\n- /tmp/a\n- file:///dev/null\n- file:///dev/shm\n",
     ("{F}:3: sources.uri: 'file:///dev/null' is no regular file; give one, only such are copied",
      "{F}:4: sources.uri: 'file:///dev/shm' is no regular file; give one, only such are copied")),
    ("sources:\n- /tmp/a\n- {uri: 'file:///tmp/x', samples: 3, unit: adu}\n",
     ("{F}:3: sources.unit: means nothing for a file, which is copied as it is; leave it out",
      "{F}:3: sources.samples: means nothing for a file, which is copied as it is; leave it out")),
    ("sources:\n- uri: /tmp/a\n  sample: 3\n",
     ("{F}:3: sources.sample: no such key; did you mean 'samples'?",)),
    ("sources:\n- uri: /tmp/a\n  keep: 3\n",
     ("{F}:3: sources.keep: no such key here; it is keep, at the top of the file",)),
    ("sources:\n- uri: /tmp/a\n  samples: x\n",
     ("{F}:3: sources.samples: 'x' is no whole number; allowed: " + FRAMES,)),
    ("sources:\n- uri: /tmp/a\n  file_rollover: 1s2\n",
     ("{F}:3: sources.file_rollover: '1s2' is neither frames, nor size, nor time; "
      "allowed: " + ROLL,)),
    ("sources:\n- uri: /tmp/a\n  file_rollover: {tim: 1s}\n",
     ("{F}:3: sources.file_rollover.tim: no such key; did you mean 'time'?",)),
    # values that do not go together
    ("keep: {size: 1MiB}\nsources: [/tmp/a]\nfile_rollover: 1MiB\n",
     ("{F}:1: keep.size: 1MiB is too little: of files of 1MiB each stream needs three; give 3MiB or more, "
      "or smaller files (file_rollover.size, --roll-size)",)),
    ("sources:\n- /tmp/a\n- {uri: /tmp/b, file_rollover: {time: 0}}\n"
     "file_rollover:\n  together: true\n",
     ("{F}:5: file_rollover.together: files of /tmp/b would never end together with others, since "
      "no time ends them; give file_rollover.time or --roll-time",)),
    (b"sources: [/tmp/a]\nsamples: \xff\n",
     ("{F}:2: is not UTF-8 (byte 0xff); a configuration is text in UTF-8",)),
    (b"sources: [/tmp/a]\n\nsamples: 1\0\n",
     ("{F}:3: has a NUL byte; a configuration is text in UTF-8",)),
    ("sources: [/tmp/a]".encode("utf-16"),
     ("{F}:1: is not UTF-8 (byte 0xff); a configuration is text in UTF-8",)),
    (b"sources: [/tmp/a]\nsamples: \x1b[2J\n",
     ("{F}:2: is no YAML: control characters are not allowed (0x1b)",)),
    (b"#" * (1 << 20) + b"\n",
     ("{F}: is larger than a configuration may be; the most is 1024 KiB",)),
)


def said(run_, path=FILE):
    assert run_.returncode == 2, (run_.returncode, run_.stdout, run_.stderr)
    assert run_.stdout == "", run_.stdout
    return run_.stderr.replace(path, "{F}").splitlines()


def every_mistake_in_a_value_has_its_message():
    environment = dict(os.environ, WORD="word")
    environment.pop("DAOREC_NOT_SET", None)
    for text, message in VALUES:
        line = 2
        if message.startswith("@"):
            line, message = message[1:].split(" ", 1)
            line = int(line) + 1
        write(GOOD + text + "\n")
        lines = said(run("check", FILE, env=environment))
        if message.startswith("is no YAML"):  # its line is libyaml's to tell
            lines = [re.sub(r":\d+:", f":{line}:", one) for one in lines]
        assert lines == [f"{{F}}:{line}: {message}"], (text[:99], lines, message)


def every_mistake_in_a_file_has_its_message():
    for content, messages in FILES:
        write(content)
        lines = said(run("check", FILE))
        assert lines[:len(messages)] == list(messages), (content[:99], lines, messages)


def all_mistakes_are_told_and_nothing_starts():
    write("samples: -1\nroot_storage: " + os.path.join(h.output, "never") + "\nio: x\n"
          "sources:\n- {uri: /tmp/a, latency: 9s}\nxyz: 1\n")
    for command in (("check", FILE), ("record", "-c", FILE), ("doctor", "-c", FILE),
                    ("record", "-c", FILE, "--print-config")):
        lines = said(run(*command))
        assert [line.split(":")[1] for line in lines] == ["1", "3", "5", "6"], lines
    assert not os.path.exists(os.path.join(h.output, "never"))


def those_beyond_two_hundred_are_counted():
    for count, line in ((200, None), (201, "daorec: 1 more mistake is not told"),
                        (202, "daorec: 2 more mistakes are not told")):
        write(GOOD + "".join(f"no{i}: 1\n" for i in range(count)))
        lines = said(run("check", FILE))
        assert lines[200:] == ([line] if line else []), lines[200:]


def fill(head, part, tail=""):
    """As large as a configuration may be. part: a text, or a function of its number."""
    parts, left, i = [head], (1 << 20) - len(head) - len(tail), 0
    while True:
        one = part(i) if callable(part) else part
        if len(one) > left:
            return "".join(parts) + tail
        parts.append(one)
        left -= len(one)
        i += 1


# Each takes libyaml, or who looks at every pair of its parts, from seconds to hours.
LARGE = (
    (fill("sources: ", "["), "{F}:1: " + DEEP),
    (fill("sources: ", "{a: "), "{F}:1: " + DEEP),
    (fill("a: ", "[? "), "{F}:1: " + DEEP),
    (fill("sources:\n ", "- "), "{F}:2: " + DEEP),
    (fill("a:\n", lambda i: f"- &a{i} x\n"),
     "{F}:102: is one anchor (&) too many; allowed: up to 100"),
    (fill("a: [", lambda i: f"&a{i} [],", "]"),
     "{F}:1: is one anchor (&) too many; allowed: up to 100"),
    (fill("", lambda i: f"%TAG !a{i}! x\n", "---\na: b\n"), "{F}:17: " + TAGS),
    (fill("", lambda i: f"%TAG !a{i}! x\r", "---\ra: b\r"), "{F}:17: " + TAGS),
    (fill("", lambda i: f"%TAG !a{i}! x\r\n", "---\r\na: b\r\n"), "{F}:17: " + TAGS),
    ("%TAG !a! x\x85%TAG !b! x\u2028" + "%TAG !c! x\u2029" * 15 + "---\na: b\n", "{F}:17: " + TAGS),
    (GOOD + "origin: '" + "é%TAG x" * 20 + "'\n", "{F}:2: origin: "),
    (fill(GOOD + "daq_affinity: [", "0,", "]"), "{F}:2: " + MUCH),
    (GOOD + "daq_affinity: [" + "0," * 99000 + "1023]", None),
    (fill("{", "a,", "}"), "{F}:1: " + MUCH),
    (fill("a: &a {" + "k: 1, " * 10000 + "}\nsources: [", "*a,", "]"), "{F}:2: " + MUCH),
    ("a: &a [" + "x" * 300000 + "]\nb: [*a, *a, *a, *a, *a]\nc: [*a]\n", "{F}:3: " + MUCH),
    (f"a: &{'a' * 70}1 x\nb: &{'a' * 70}2 [{'x' * 300000}]\n" + f"c: *{'a' * 70}2\n" * 7,
     "{F}:8: " + MUCH),
    ("a: &a [x, x]\n" + "".join(f"{x}: &{x} [" + f"*{y}," * 9 + "]\n"
                               for y, x in zip("abcdefgh", "bcdefghi")), "{F}:6: " + MUCH),
    (fill("sources: [", lambda i: f"/t/{i}.im.shm,", "]"),
     "{F}:1: sources: is one source too many; allowed: up to 1000"),
    ("sources: [" + "".join(f"/t/{i}.im.shm, " for i in range(1000)) + "]", None),
    ("k: 1\n" * 40000, "{F}:1: k: no such key; allowed: "),
    ("".join(f"k{i}: 1\n" for i in range(40000)), "{F}:1: k0: no such key; allowed: "),
    ("sources:\n" + "- {uri: /t/a, uri: /t/a}\n" * 10000,
     "{F}:2: sources.uri: stands here twice; leave one"),
)


def what_a_file_may_not_say_an_option_may_not_either():
    write(GOOD)
    for option, text, what in (
            ("output", "~/data", "begins with ~, which is the shell's: write $HOME; allowed: a path"),
            ("control", "~/socket", "begins with ~, which is the shell's: write $HOME; allowed: "
             + SOCKET),
            ("control", "/" + "x" * 107, "has 108 bytes, and a socket's path 107 at most: give a "
             "shorter one; allowed: " + SOCKET),
            ("metrics-file", "~/a.prom", "begins with ~, which is the shell's: write $HOME; "
             "allowed: a path that ends in .prom"),
            ("metrics-file", "a.txt", "is no name for node_exporter; allowed: a path that ends in "
             ".prom"),
            ("on-loss", " ", "is no command; allowed: a command for the shell")):
        for segments in (("-c", FILE), (os.path.join(h.segments, "none.im.shm"),)):
            lines = said(run("record", f"--{option}={text}", *segments, cwd=h.output))
            assert lines == [f"daorec record: --{option}: '{text}' {what}"], lines
    assert not os.path.exists(os.path.join(h.output, "~"))


def what_would_take_long_to_read_is_refused():
    for content, message in LARGE:
        write(content)
        try:
            ran = run("check", FILE)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it hangs: {content[:99]}") from error
        if message is None:
            assert ran.returncode == 0, (content[:99], ran.stderr[:999])
        else:
            lines = said(ran)
            assert lines[0].startswith(message), (content[:99], lines[0], message)


def what_cannot_be_read_is_said():
    missing = os.path.join(h.output, "missing.yaml")
    assert said(run("check", missing), missing) == ["{F}: cannot be read: No such file or directory"]
    assert said(run("check", h.output), h.output) == ["{F}: cannot be read: Is a directory"]
    assert said(run("check", "/dev/null"), "/dev/null") == [
        "{F}: cannot be read: Invalid argument"]
    lines = said(run("check"))
    assert "which file?" in lines[0], lines


def several_files_and_standard_input_are_checked():
    good, bad = write(GOOD, FILE + ".good"), write("io: x\n" + GOOD, FILE + ".bad")
    ran = run("check", good, bad, good)
    assert ran.returncode == 2 and ran.stdout.count("is right") == 2, ran.stdout
    ran = run("check", "-", input=GOOD)
    assert ran.returncode == 0 and ran.stdout.startswith("standard input is right"), ran.stderr
    ran = run("check", "-", input="io: x\n" + GOOD)
    assert ran.stderr.startswith("standard input:1: io: "), ran.stderr
    ran = run("check", "-q", good)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def a_uri_on_the_command_line_is_the_path_that_it_names():
    path = h.segment("named")
    write(GOOD)
    for more in ((), ("-c", FILE)):
        ran = run("record", *more, "--print-config", "smem://" + path)
        assert ran.returncode == 0 and f"uri: smem://{path}\n" in ran.stdout, ran.stderr
        for wrong, why in (("smem:/tmp/x", "three slashes"), ("http:///x", "unknown"),
                           ("file:///tmp/x", "names a file")):
            ran = run("record", *more, wrong)
            assert ran.returncode == 2 and ran.stderr.count("\n") == 1 and why in ran.stderr, ran
    ran = run("record", "smem://" + path)
    assert ran.returncode == 1 and f"daorec: {path}: No such file" in ran.stderr, ran.stderr


def a_byte_order_mark_before_it_is_passed_over():
    mark = "\ufeff"
    for text in (GOOD, GOOD + "samples: 5\n", "root_storage: /data\n" + GOOD, "---\n" + GOOD):
        write(mark + text)
        ran = run("check", FILE)
        assert ran.returncode == 0 and "is right: 1 stream" in ran.stdout, ran.stderr
    write(mark)
    assert said(run("check", FILE)) == ["{F}: " + EMPTY]
    write(mark + GOOD + "samples: -1\n")
    assert said(run("check", FILE))[0].startswith("{F}:2: samples: '-1' is no"), FILE
    write(GOOD + mark + "samples: 5\n")  # only there
    assert run("check", FILE).returncode == 2


def a_good_file_says_what_is_there_and_what_is_not():
    path = h.segment("seen")
    source = h.sim(path, "--size", "7x5", "--type", "float32", "--depth", "16", "-n", "10")
    source.wait()
    name = h.stream_name(path)
    write(f"root_storage: /data\nsources:\n- smem://{path}\n- /tmp/daorec-none.im.shm\n"
          f"- file://{FILE}\n- file:///none/x\ndaq_affinity: 0,1023\n")
    ran = run("check", FILE)
    assert ran.returncode == 0 and ran.stderr == "", ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0] == f"{FILE} is right: 2 streams and 2 files into /data", lines
    assert lines[1].split() == [name, path + ":", "7x5", "float32,", "depth", "16"], lines
    assert lines[2].split() == ["daorec-none", "/tmp/daorec-none.im.shm:", "not", "there",
                                "(yet)"], lines
    assert lines[3].startswith(f"  (file)           {FILE}: ") and "copied" in lines[3], lines
    assert lines[4] == "  (file)           /none/x: not there", lines
    assert (f"note: {FILE}:6: sources.uri: /none/x: cannot be copied into the session: No such file "
            "or directory: nothing would be recorded") in lines[5:], lines
    assert "note: daq_affinity: this machine does not have CPU 1023 for us" in lines[5:], lines


def what_is_in_the_way_of_the_folder_or_of_a_segment_is_told():
    for folder in (FILE, os.path.join(FILE, "below")):
        write(f"root_storage: {folder}\nsources: [{FILE}]\n")
        ran = run("check", FILE)
        assert ran.returncode == 0 and ran.stderr == "", ran.stderr
        assert (f"note: root_storage: {folder}: Not a directory: nothing would be recorded"
                in ran.stdout.splitlines()), ran.stdout
        line = ran.stdout.splitlines()[1]
        assert f" {FILE}: not a DAO segment: " in line and line.count(FILE) == 1, line


def two_names_of_one_segment_are_one_source():
    path = h.segment("linked")
    h.sim(path, "--size", "4", "-n", "1").wait()
    link = os.path.join(h.segments, "other.im.shm")
    os.symlink(path, link)
    write(f"sources:\n- {path}\n- {link}\n")
    assert said(run("check", FILE)) == [f"{{F}}:3: sources: '{link}' and '{path}' (in line 2) are "
                                        "one and the same; leave one"]


# ---- printing ----

def printed(*arguments, **options):
    ran = run("record", "--print-config", *arguments, **options)
    assert ran.returncode == 0 and ran.stderr == "", ran.stderr
    return ran.stdout


def what_print_config_prints_loads_again_unchanged():
    first = printed()
    write(first)
    assert printed("-c", FILE) == first
    assert run("check", FILE).returncode == 0
    for example in sorted(os.listdir(os.path.join(ROOT, "config"))):
        if example.endswith(".yaml"):
            once = printed("-c", os.path.join(ROOT, "config", example))
            write(once)
            assert printed("-c", FILE) == once, example


def long_values_are_printed_whole():
    """Also where each of their bytes becomes four."""
    for value in ("true " + 5000 * "# a comment ", 20000 * "\\x01", "x" + 9000 * "\\\\"):
        write(GOOD + f'hooks: {{loss: "{value}"}}\n')
        first = printed("-c", FILE)
        assert f'  loss: "{value}"\n' in first, len(first)
        write(first)
        assert printed("-c", FILE) == first


def the_examples_are_right():
    for example, streams in (("minimal.yaml", 2), ("full.yaml", 1), ("elt.yaml", 48)):
        path = os.path.join(ROOT, "config", example)
        ran = run("check", path)
        assert ran.returncode == 0 and ran.stderr == "", ran.stderr
        assert f"is right: {streams} stream" in ran.stdout, ran.stdout
    with open(os.path.join(ROOT, "config", "full.yaml"), encoding="utf-8") as f:
        assert f.read() == printed(), "config/full.yaml is what --print-config prints"


SET = """\
root_storage: "/data/with a space/$$HOME"
samples: 12
duration: 90s
file_rollover:
  frames: 500
  size: 2GiB
  time: 2h
  together: true
buffer_limit: 128MiB
overload: decimate 4
latency: 3ms
backlog: true
wait: forever
all: true
eager_start: false
daq_affinity: "0-1,5"
sink_affinity: "7"
priority: 17
lock_memory: true
io: pwrite
direct: false
keep:
  free: 10GiB
  files: 9
  size: 3TB
  time: 36h
keywords:
  ORIGIN: "OCA, Nice"
  TELESCOP: ELT
  INSTRUME: MICADO
  OBSERVER: "O'Neil"
  OBJECT: "HD 1234: \\"x\\""
control: /run/daorec/control
metrics:
  listen: "0.0.0.0:9464"
  textfile: /tmp/x.prom
hooks:
  file_closed: "rsync -a \\"$DAOREC_FILE\\" archive:"
  loss: page-me
  low_disk: "true"
  low_disk_below: 30GiB
sources:
  - uri: smem:///tmp/a.im.shm
    name: one
    unit: adu
    samples: 3
    file_rollover:
      time: 7s
    latency: 9ms
    priority: 5
    overload: stop
  - uri: /tmp/b.im.shm
  - uri: file:///tmp/c.fits
"""


def every_key_arrives():
    write(SET)
    out = printed("-c", FILE)
    keys = [line.split("\t")[0] for line in run("check", "--list-keys").stdout.splitlines()]
    lines = [line for line in out.splitlines() if not line.lstrip().startswith("#")]
    for line in SET.splitlines():
        assert line in lines, (line, out)
    names = {line.strip(" -").split(":")[0] for line in SET.splitlines()}
    for key in keys:
        assert key.split(".")[-1] in names, key
    assert len([line for line in lines if line.startswith("  - uri")]) == 3


def what_only_options_said_is_printed_and_loads_again():
    """Also what stands for nothing but itself: a flag, or an option without its value."""
    out = printed("--control", "--idle", "--all", "--roll-together", "/tmp/a.im.shm")
    for line in ("control: true", "eager_start: false", "all: true", "  together: true"):
        assert line in out.splitlines(), (line, out)
    write(out)
    assert printed("-c", FILE) == out
    for word, line in (("yes", "control: true"), ("off", "control: false"),
                       ("''", "control: false"), ("./true", "control: ./true")):
        write(GOOD + f"control: {word}\n")
        assert line in printed("-c", FILE).splitlines(), word


def what_a_file_asks_of_all_segments_is_done():
    """all, together, and a control socket; as an ordinary user where `ctl` looks for it."""
    there, late = h.segment("there"), h.segment("late")
    environment = dict(os.environ, XDG_RUNTIME_DIR=h.output)
    socket = os.path.join(h.output, "daorec", "control")
    control = "true"
    if os.geteuid() == 0:  # then that place is the machine's
        socket = control = os.path.join(h.output, "socket")
    root = os.path.join(h.output, "asked")
    source = h.sim(there, "--size", "5x4", "--rate", "500", "--depth", "4096")
    h.wait_for(lambda: os.path.exists(there))
    write(f"root_storage: {root}\nall: true\ncontrol: {control}\neager_start: false\n"
          f"file_rollover: {{time: 1s, together: true}}\nsources: [{there}, {late}]\n")
    process = h.start(h.DAOREC, "record", "-c", FILE, env=environment)
    h.wait_for(lambda: os.path.exists(socket), what="the socket")
    refused = run("ctl", "--socket", socket, "start")
    assert refused.returncode == 1 and late in refused.stderr, refused
    other = h.sim(late, "--size", "5x4", "--rate", "500", "--depth", "4096")
    h.wait_for(lambda: os.path.exists(late))
    assert run("ctl", "--socket", socket, "start").returncode == 0
    h.wait_for(lambda: all(glob.glob(f"{root}/*/{h.stream_name(p)}/*_000003.fits")
                           for p in (there, late)), what="files")
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
    for one in (source, other):
        one.terminate()
    for file in glob.glob(f"{root}/*/*/*.fits"):
        assert len(set(fits.getdata(file, "FRAMES")["ATIME"] // 1000000000)) == 1, file


def options_override_the_file_and_all_of_its_sources():
    write(SET)
    out = printed("-c", FILE, "-n", "100", "--roll-time", "1min", "-o", "/elsewhere", "--cpu", "2",
                  "--io", "uring", "--keep-free", "1%", "/tmp/a.im.shm")
    for line in ("samples: 100", "  time: 1min", "root_storage: /elsewhere", 'daq_affinity: "2"',
                 "io: uring", "  free: 1%", "    name: one", "    latency: 9ms"):
        assert line in out.splitlines(), (line, out)
    assert "    samples: 3" not in out and "b.im.shm" not in out, out
    assert "  - uri: file:///tmp/c.fits" in out


def an_option_that_ends_files_takes_0_as_its_key_does():
    """Also over a file that has a limit."""
    rows = [line.split("\t") for line in run("check", "--list-keys").stdout.splitlines()]
    limits = {option: key for key, _, allowed, _, _, option, _ in rows
              if option.startswith("roll-") and allowed.endswith(", or 0")}
    assert len(limits) == 3, limits
    write(GOOD + "file_rollover: {frames: 9, size: 1GiB, time: 9s}\n")
    for option, key in limits.items():
        lines = [line.strip() for line in printed("-c", FILE, f"--{option}", 0).splitlines()]
        name = key.split(".")[1] + ": "
        section = lines[lines.index(key.split(".")[0] + ":"):]
        assert next(line for line in section if line.startswith(name)) == name + "0", (key, lines)
        assert re.search(rf"--{option} .*\b0[:,]", re.sub(r"\n {20,}", " ", run(
            "record", "--help").stdout)), option
    for option in "frames", "duration", "keep-files":  # none would be a mistake there
        ran = run("record", f"--{option}", 0, "/tmp/a.im.shm")
        assert ran.returncode == 2 and "too small" in ran.stderr, ran.stderr


def variables_are_expanded_after_parsing():
    environment = dict(os.environ, PLACE="/data/a: [b", NUMBER="5", SCHEME="smem")
    write("root_storage: $PLACE/${NUMBER}x\nsamples: $NUMBER\n"
          "sources: ['$SCHEME:///tmp/a.im.shm']\n")
    out = printed("-c", FILE, env=environment).splitlines()
    assert 'root_storage: "/data/a: [b/5x"' in out and "samples: 5" in out, out
    assert "  - uri: smem:///tmp/a.im.shm" in out, out


# ---- the table in README.md ----

def table():
    rows = ["| key | what may stand there | default | |", "|---|---|---|---|"]
    for line in run("check", "--list-keys").stdout.splitlines():
        key, _, allowed, default, alias, _, meaning = line.split("\t")
        also = f" (also `{alias}`)" if alias else ""
        rows.append(f"| `{key}`{also} | {allowed} | {default} | {meaning} |")
    return rows


def the_table_in_the_readme_is_what_the_program_has():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        readme = f.read().splitlines()
    begin = readme.index(table()[0])
    end = next(i for i in range(begin, len(readme)) if not readme[i].startswith("|"))
    assert readme[begin:end] == table(), "tests/integration/test_config.py --table prints it"


# ---- recording ----

def a_configuration_is_recorded():
    first, second = h.segment("first"), h.segment("second")
    sources = [h.sim(path, "--size", "5x4", "--type", "uint16", "--rate", "500", "--depth", "64")
               for path in (first, second)]
    h.wait_for(lambda: os.path.exists(first) and os.path.exists(second))
    write(f"root_storage: $HERE\nsamples: 200\nwait: 30s\nfile_rollover: 120\n"
          f"buffer_limit: 4MiB\nsources:\n- uri: smem://{first}\n  name: camera\n"
          f"- uri: {second}\n  samples: 50\n  file_rollover: {{frames: 20}}\n")
    process = h.start(h.DAOREC, "record", "--json", "-c", FILE,
                      env=dict(os.environ, HERE=h.output))
    session = h.finish(process)
    for source in sources:
        source.terminate()
    streams = {s["name"]: s for s in session.summary["streams"]}
    camera, other = streams["camera"], streams[h.stream_name(second)]
    assert camera["recorded"] == 200 and other["recorded"] == 50, streams
    assert len(camera["files"]) == 2 and len(other["files"]) == 3, streams
    h.judge(*camera["files"], *other["files"])


def a_segment_on_the_command_line_is_recorded_as_the_file_has_it():
    path = h.segment("picked")
    source = h.sim(path, "--size", "5", "--rate", "500", "--depth", "64")
    h.wait_for(lambda: os.path.exists(path))
    write(f"root_storage: {h.output}\nsources:\n- {{uri: smem://{path}, name: named, samples: 9}}\n"
          "- /tmp/daorec-none.im.shm\n")
    session = h.finish(h.start(h.DAOREC, "record", "--json", "--wait", "-c", FILE, path))
    source.terminate()
    assert [s["name"] for s in session.summary["streams"]] == ["named"], session.summary
    assert session.summary["streams"][0]["recorded"] == 9


def cpus_that_are_not_there_are_refused_before_anything_starts():
    path = h.segment("cpus")
    write(f"root_storage: {h.output}/cpus\nsources: [{path}]\nsink_affinity: 1023\n")
    ran = run("record", "-c", FILE)
    assert ran.returncode == 2 and "sink_affinity 1023" in ran.stderr, ran.stderr
    ran = run("record", "--cpu", "1000-1001", path)
    assert ran.returncode == 2 and "--cpu 1000-1001: not of this machine" in ran.stderr, ran.stderr
    ran = run("record", "--cpu", "x", path)
    assert ran.returncode == 2 and "--cpu: 'x' is no set of CPUs" in ran.stderr, ran.stderr
    assert not os.path.exists(f"{h.output}/cpus")


def threads_run_on_the_cpus_of_their_role():
    cpu = min(os.sched_getaffinity(0))
    path = h.segment("roles")
    source = h.sim(path, "--size", "5", "--rate", "500", "--depth", "64")
    h.wait_for(lambda: os.path.exists(path))
    write(f"root_storage: {h.output}\nsources: [{path}]\nsink_affinity: [{cpu}]\n")
    process = h.start(h.DAOREC, "record", "--json", "-c", FILE)

    def pinned():
        there = []
        for thread in os.listdir(f"/proc/{process.pid}/task"):
            with open(f"/proc/{process.pid}/task/{thread}/status", encoding="ascii") as f:
                there.append(re.search(r"Cpus_allowed_list:\t(.*)", f.read()).group(1))
        return there.count(str(cpu)) == 3 or len(os.sched_getaffinity(0)) == 1
    h.wait_for(pinned, what="opener, closer and writer to be on one CPU")
    process.terminate()
    h.finish(process)
    source.terminate()


def cards_and_units_stand_in_every_file():
    path, other = h.segment("cards"), h.segment("nocards")
    sources = [h.sim(p, "--size", "5x4", "--rate", "500", "--depth", "64") for p in (path, other)]
    h.wait_for(lambda: os.path.exists(path) and os.path.exists(other))
    longest = "it's " * 10 + "x"  # 51 characters, 10 quotes of which are doubled: 61 would not do
    write(f"""root_storage: {h.output}
samples: 90
wait: 30s
file_rollover: 40
keywords: {{ORIGIN: "OCA, Nice", TELESCOP: ELT, INSTRUME: 'MICADO / SCAO', OBSERVER: "O'Neil",
           OBJECT: "{longest[:50]}"}}
sources:
- {{uri: {path}, unit: "photon / s"}}
- {other}
""")
    session = h.finish(h.start(h.DAOREC, "record", "--json", "-c", FILE))
    for source in sources:
        source.terminate()
    mine, others = session.stream(path)["files"], session.stream(other)["files"]
    assert len(mine) == 3, mine
    h.judge(*mine, *others)
    for file in mine + others:
        with fits.open(file) as hdus:
            header = hdus[0].header
            assert header["ORIGIN"] == "OCA, Nice" and header["TELESCOP"] == "ELT"
            assert header["INSTRUME"] == "MICADO / SCAO" and header["OBSERVER"] == "O'Neil"
            assert header["OBJECT"] == longest[:50].rstrip(), header["OBJECT"]
            assert header.get("BUNIT") == ("photon / s" if file in mine else None)


def what_is_not_set_is_no_card():
    path = h.segment("bare")
    source = h.sim(path, "--size", "5x4", "--rate", "500", "--depth", "64")
    h.wait_for(lambda: os.path.exists(path))
    write(f"root_storage: {h.output}\nsamples: 9\nwait: 30s\nkeywords: {{OBJECT: ''}}\n"
          f"sources: [{path}]\n")
    session = h.finish(h.start(h.DAOREC, "record", "--json", "-c", FILE))
    source.terminate()
    header = fits.getheader(session.stream(path)["files"][0])
    for name in ("ORIGIN", "TELESCOP", "INSTRUME", "OBSERVER", "OBJECT", "BUNIT"):
        assert name not in header, name


def of_a_recorder_that_was_killed_repair_keeps_cards_and_copies():
    path = h.segment("killed")
    source = h.sim(path, "--size", "5x4", "--rate", "500", "--depth", "64")
    h.wait_for(lambda: os.path.exists(path))
    root = os.path.join(h.output, "killed")
    matrix = write(b"matrix", os.path.join(h.output, "matrix.bin"))
    write(f"root_storage: {root}\nwait: 30s\nkeywords: {{OBJECT: M 31}}\nfile_rollover: 200\n"
          f"sources: [{{uri: {path}, unit: adu}}, 'file://{matrix}']\n")
    process = h.start(h.DAOREC, "record", "-c", FILE)
    h.wait_for(lambda: glob.glob(f"{root}/*/*/*_000003.fits.part"))
    process.kill()
    process.wait()
    source.terminate()
    # The kernel lets go of a file that is still being written a little later.
    h.wait_for(lambda: run("repair", "--apply", root).returncode == 0, what="repair")
    files = glob.glob(f"{root}/*/{h.stream_name(path)}/*.fits")
    h.judge(*files)
    for file in files:
        header = fits.getheader(file)
        assert header["OBJECT"] == "M 31" and header["BUNIT"] == "adu", header
    with open(glob.glob(f"{root}/*/session.json")[0], encoding="utf-8") as f:
        assert [c["name"] for c in json.load(f)["copies"]] == ["files.d/matrix.bin"]
    h.verified(root)


def a_file_that_is_missing_is_found_before_segments_are_waited_for():
    root = os.path.join(h.output, "early")
    missing = os.path.join(h.output, "missing.fits")
    write(f"root_storage: {root}\nwait: forever\n"
          f"sources: [{h.segment('never')}, 'file://{missing}']\n")
    ran = run("record", "-c", FILE)
    assert ran.returncode == 1 and ran.stderr == (
        f"daorec: {missing}: cannot be copied into the session: No such file or directory; nothing "
        "is recorded without it\n"), (ran.returncode, ran.stderr)
    assert not os.path.exists(root)


def files_are_copied_into_the_session():
    path = h.segment("copied")
    source = h.sim(path, "--size", "5x4", "--rate", "500", "--depth", "64")
    h.wait_for(lambda: os.path.exists(path))
    matrix = os.path.join(h.output, "matrix.fits")
    fits.PrimaryHDU(np.arange(12.0).reshape(3, 4)).writeto(matrix)  # has no checksums
    text = write("gain: 0.5\n", os.path.join(h.output, "loop.yaml"))
    write(f"root_storage: {h.output}\nsamples: 30\nwait: 30s\n"
          f"sources: [{path}, 'file://{matrix}', 'file://{text}']\n")
    session = h.finish(h.start(h.DAOREC, "record", "--json", "-c", FILE))
    source.terminate()
    copies = session.ledger["copies"]
    assert [c["name"] for c in copies] == ["files.d/matrix.fits", "files.d/loop.yaml"], copies
    for copy, origin in zip(copies, (matrix, text)):
        with open(origin, "rb") as f:
            content = f.read()
        with open(os.path.join(session.folder, copy["name"]), "rb") as f:
            assert f.read() == content
        assert copy["source"] == origin and copy["bytes"] == len(content), copy
        assert copy["sha256"] == hashlib.sha256(content).hexdigest(), copy
    # Those who look for recordings pass them by.
    out = os.path.join(h.output, "copied.fits")
    assert run("extract", "-q", session.folder, "-o", out).returncode == 0
    assert fits.getheader(out)["NAXIS3"] == 30
    sys.path.insert(0, os.path.join(ROOT, "lib"))
    import daorec
    with daorec.open(session.folder) as opened:
        assert list(opened) == [h.stream_name(path)], list(opened)
    # verify finds each that is not what it was.
    ran = run("verify", session.folder)
    assert ran.returncode == 0 and "files.d/matrix.fits: good" in ran.stdout, ran.stdout
    with open(os.path.join(session.folder, "files.d", "matrix.fits"), "r+b") as f:
        f.seek(3000)
        f.write(b"x")
    os.unlink(os.path.join(session.folder, "files.d", "loop.yaml"))
    ran = run("verify", session.folder)
    assert ran.returncode == 1, ran.stdout
    assert "matrix.fits: is not what was copied" in ran.stdout, ran.stdout
    assert "loop.yaml: is missing" in ran.stdout, ran.stdout


def without_a_file_that_is_to_be_copied_nothing_begins():
    path = h.segment("uncopied")
    source = h.sim(path, "--size", "5x4", "--rate", "500", "--depth", "64")
    h.wait_for(lambda: os.path.exists(path))
    root = os.path.join(h.output, "uncopied")
    there = write("x", os.path.join(h.output, "there.txt"))
    write(f"root_storage: {root}\nwait: 30s\n"
          f"sources: [{path}, 'file://{there}', 'file:///none/x']\n")
    ran = run("record", "-c", FILE)
    source.terminate()
    assert ran.returncode == 1, ran.stderr
    assert "/none/x: cannot be copied into the session: No such file" in ran.stderr, ran.stderr
    assert not os.path.exists(root)


def a_ring_takes_copies_with_the_last_of_their_session():
    path = h.segment("ringed")
    source = h.sim(path, "--size", "5x4", "--rate", "500", "--depth", "4096")
    h.wait_for(lambda: os.path.exists(path))
    root = os.path.join(h.output, "ringed")
    there = write("x", os.path.join(h.output, "ringed.txt"))
    write(f"root_storage: {root}\nsamples: 60\nfile_rollover: 20\nwait: 30s\nkeep: {{files: 2}}\n"
          f"sources: [{path}, 'file://{there}']\n")
    for _ in range(2):
        ran = run("record", "-q", "-c", FILE)
        assert ran.returncode == 0, ran.stderr
    source.terminate()
    sessions = os.listdir(root)
    assert len(sessions) == 1, sessions
    assert os.listdir(os.path.join(root, sessions[0], "files.d")) == ["ringed.txt"]


# ---- doctor ----

def doctor_takes_folder_segments_and_settings():
    path = h.segment("patient")
    h.sim(path, "--size", "5x4", "--type", "uint16", "--depth", "64", "-n", "9").wait()
    folder = os.path.join(h.output, "clinic")
    os.mkdir(folder)
    write(f"root_storage: {folder}\nbuffer_limit: 7MiB\nkeep: {{free: 3%}}\n"
          f"daq_affinity: 1023\nsources: [{path}, /tmp/daorec-none.im.shm, 'file:///none/x']\n")
    ran = run("doctor", "--no-disk", "--json", "-c", FILE)
    told = json.loads(ran.stdout)
    assert ran.returncode == 1 and told["folder"] == folder, told
    found = {f["found"]: f["state"] for f in told["findings"]}
    assert any("CPU 1023" in text and state == "problem" for text, state in found.items()), found
    assert any("/none/x" in text and state == "problem" for text, state in found.items()), found
    assert any("daorec-none" in text and state == "problem" for text, state in found.items()), found
    assert any(path in text for text in found), found
    # Segments are looked at instead of those in the file, as record takes them; a folder, too.
    told = json.loads(run("doctor", "--no-disk", "--json", "-c", FILE, path, h.output).stdout)
    found = [f["found"] for f in told["findings"]]
    assert told["folder"] == h.output, told
    assert any(path in text for text in found) and any("/none/x" in text for text in found), found
    assert not any("daorec-none" in text for text in found), found
    with open(FILE, "a", encoding="utf-8") as f:
        f.write("wait: forever\n")
    told = json.loads(run("doctor", "--no-disk", "--json", "-c", FILE).stdout)
    states = [f["state"] for f in told["findings"] if "daorec-none" in f["found"]]
    assert states == ["note"], told
    write("samples: x\n")
    assert run("doctor", "-c", FILE).returncode == 2
    assert os.listdir(folder) == []


def doctor_says_what_does_not_go_together():
    folder = os.path.join(h.output, "together")
    os.mkdir(folder)
    for keys, found, remedy in (
            ("", None, None),
            ("keep: {size: 1MiB}\nfile_rollover: 1MiB\n",
             "{F}:1: keep.size: 1MiB is too little: of files of 1MiB each stream needs three",
             "give 3MiB or more, or smaller files (file_rollover.size, --roll-size)"),
            ("file_rollover: {together: true, time: 0}\n",
             "{F}:1: file_rollover.together: files of /tmp/daorec-none.im.shm would never end "
             "together with others, since no time ends them",
             "give file_rollover.time or --roll-time")):
        write(f"{keys}root_storage: {folder}\nwait: forever\nsources: [/tmp/daorec-none.im.shm]\n")
        ran = run("doctor", "--no-disk", "--json", "-c", FILE)
        told = [f for f in json.loads(ran.stdout)["findings"] if f["check"] == "config"]
        if not found:
            assert not told, told
            continue
        assert ran.returncode == 1 and len(told) == 1, (ran.returncode, told)
        assert told[0]["state"] == "problem" and told[0]["remedy"] == remedy, told
        assert told[0]["found"].replace(FILE, "{F}") == found, told
        said_ = run("doctor", "--no-disk", "-c", FILE).stdout.splitlines()
        assert any(line.startswith("problem") and line.endswith(f"  ->  {remedy}")
                   for line in said_), said_
    assert os.listdir(folder) == []


if __name__ == "__main__":
    if sys.argv[1:] == ["--table"]:
        print("\n".join(table()))
        sys.exit()
    h.main([
        every_mistake_in_a_value_has_its_message,
        every_mistake_in_a_file_has_its_message,
        all_mistakes_are_told_and_nothing_starts,
        those_beyond_two_hundred_are_counted,
        what_a_file_may_not_say_an_option_may_not_either,
        what_would_take_long_to_read_is_refused,
        what_cannot_be_read_is_said,
        several_files_and_standard_input_are_checked,
        a_uri_on_the_command_line_is_the_path_that_it_names,
        a_byte_order_mark_before_it_is_passed_over,
        a_good_file_says_what_is_there_and_what_is_not,
        what_is_in_the_way_of_the_folder_or_of_a_segment_is_told,
        two_names_of_one_segment_are_one_source,
        what_print_config_prints_loads_again_unchanged,
        long_values_are_printed_whole,
        the_examples_are_right,
        every_key_arrives,
        what_only_options_said_is_printed_and_loads_again,
        what_a_file_asks_of_all_segments_is_done,
        options_override_the_file_and_all_of_its_sources,
        an_option_that_ends_files_takes_0_as_its_key_does,
        variables_are_expanded_after_parsing,
        the_table_in_the_readme_is_what_the_program_has,
        a_configuration_is_recorded,
        a_segment_on_the_command_line_is_recorded_as_the_file_has_it,
        cpus_that_are_not_there_are_refused_before_anything_starts,
        threads_run_on_the_cpus_of_their_role,
        cards_and_units_stand_in_every_file,
        what_is_not_set_is_no_card,
        of_a_recorder_that_was_killed_repair_keeps_cards_and_copies,
        a_file_that_is_missing_is_found_before_segments_are_waited_for,
        files_are_copied_into_the_session,
        without_a_file_that_is_to_be_copied_nothing_begins,
        a_ring_takes_copies_with_the_last_of_their_session,
        doctor_takes_folder_segments_and_settings,
        doctor_says_what_does_not_go_together,
    ])
