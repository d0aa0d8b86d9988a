#!/usr/bin/env bash
# A few seconds of the soak; scripts/soak by itself takes ten minutes.
exec "$(dirname "$0")/../../scripts/soak" --minutes 0.08
