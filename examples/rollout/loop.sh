#!/bin/sh
# Runs a roll-out until no member is queued or pending. The first run that fails ends it, with the same exit code.
#
#   sh loop.sh STACK [SECONDS BETWEEN TWO RUNS, 3600]
set -eu
stack=${1:?"Usage: sh loop.sh STACK [SECONDS]"}
pause=${2:-3600}

while :; do
    pulumi up --stack "$stack" --yes --skip-preview --non-interactive
    waiting=$(pulumi stack output waiting --stack "$stack" --non-interactive)
    if [ "$waiting" = 0 ]; then
        echo "No member is queued or pending."
        exit 0
    fi
    echo "$waiting queued or pending; the next run follows in $pause s."
    sleep "$pause"
done
