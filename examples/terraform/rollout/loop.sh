#!/bin/sh
# Runs a roll-out until no member is queued or pending. The first apply that fails ends it, with the same exit code.
#
#   sh loop.sh [SECONDS BETWEEN TWO APPLIES, 3600]
set -eu
pause=${1:-3600}

while :; do
    terraform apply -auto-approve -input=false
    waiting=$(terraform output -raw waiting)
    if [ "$waiting" = 0 ]; then
        echo "No member is queued or pending."
        exit 0
    fi
    echo "$waiting queued or pending; the next apply follows in $pause s."
    sleep "$pause"
done
