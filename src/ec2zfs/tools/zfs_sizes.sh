# Reads one `zfs send` a line from standard input, its words parted by tabs; prints `stream` and then its estimated size.
# A stream whose size cannot be told is no failure: the send itself will say what is wrong.
set -uf
IFS='	'
while read -r line; do
    echo stream
    # shellcheck disable=SC2086 # the words are parted at tabs, on purpose
    zfs send -nP $line </dev/null 2>/dev/null || :
done
