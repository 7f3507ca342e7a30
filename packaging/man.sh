#!/bin/sh
# A manual page out of what a program says with --help, so that both never differ: man.sh PROGRAM SECTION > PAGE
# The first line of the help is "NAME: what it is for". A program with verbs (vnvme) has a section for each.
set -eu

[ $# -eq 2 ] || { echo "usage: man.sh PROGRAM SECTION" >&2; exit 1; }
program=$1 section=$2
name=$(basename "$program")
version=$("$program" --version | sed 's/.* //')
date=$(date -u -d "@${SOURCE_DATE_EPOCH:-0}" +%Y-%m-%d)

roff() { sed -e 's/\\/\\e/g' -e "s/^[.']/\\\\\&&/" -e 's/-/\\-/g'; }
as_it_is() { printf '.nf\n'; roff; printf '.fi\n'; }

help=$("$program" --help)
summary=$(printf '%s\n' "$help" | sed -n "1s/^$name\( [0-9.]*\)\{0,1\}: //p")
[ -n "$summary" ] || { echo "man.sh: the help of $name does not begin with \"$name: ...\"" >&2; exit 1; }

printf '.TH %s %s %s "vnvme %s" "vnvme"\n' "$(echo "$name" | tr a-z A-Z | roff)" "$section" "$date" "$version"
printf '.SH NAME\n%s \\- %s\n' "$(echo "$name" | roff)" "$(echo "$summary" | roff)"
printf '.SH DESCRIPTION\n'
printf '%s\n' "$help" | sed 1,2d | as_it_is
verbs=$(printf '%s\n' "$help" | sed -n '/^Verbs/,/^$/s/^  \([a-z-]*\) .*/\1/p')
if [ -n "$verbs" ]; then
  printf '.SH VERBS\n'
  for verb in $verbs; do
    printf '.SS %s\n' "$(echo "$verb" | roff)"
    "$program" "$verb" --help | as_it_is
  done
fi
printf '.SH FILES\n.I /etc/vnvme/vnvmed.json\n.br\n.I /usr/share/doc/vnvme\n'
printf '.SH SEE ALSO\n.BR vnvme (1),\n.BR vnvmed (8)\n'
