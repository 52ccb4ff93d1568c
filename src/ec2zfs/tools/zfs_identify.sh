# zfs_identify.sh PROPERTY: sets the property of datasets; standard input holds `name <TAB> value`, one a line.
# Ends with 1 when one of them failed; the others were done.
set -uf
property=$1 status=0 tab=$(printf '\t')
while IFS=$tab read -r name value; do
    zfs set "$property=$value" "$name" </dev/null || status=1
done
exit $status
