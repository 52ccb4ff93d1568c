# zfs_properties.sh: prints what is set on the datasets that standard input names, one a line. First a line for each
# property that is set (DATASET, PROPERTY, SOURCE, parted by tabs) and one for each dataset (its `type`); an empty line; then
# the properties again, with the value as the last column. A value may hold anything, line breaks too, and look like a
# property of another dataset: what came first tells which lines are true. What does not exist any more is left out.
set -uf
names=$(cat)

# get SOURCES COLUMNS PROPERTIES; with 123 xargs says that a dataset was missing.
get() {
    printf '%s\n' "$names" |
        xargs -r -d '\n' -n 500 zfs get -Hp -t filesystem,volume -s "$1" -o "$2" "$3" || [ $? -eq 123 ] || exit 1
}

# `all`, since nothing else tells which user properties there are; the values are asked for by name.
keys=$(get local,received,temporary,none name,property,source all) || exit 1
keys=$(printf '%s\n' "$keys" | awk -F '\t' '$3 != "-" || $2 == "type"')
printf '%s\n\n' "$keys"
properties=$(printf '%s\n' "$keys" | cut -f 2 | grep -vx type | sort -u | paste -s -d , -)
[ -z "$properties" ] || get local,received,temporary name,property,source,value "$properties"
