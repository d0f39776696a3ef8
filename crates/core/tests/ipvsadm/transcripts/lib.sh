# What the scripts beside this file are written with. To make a transcript anew:
#   bash NNN-name.sh > NNN-name.out        (as root, on a kernel with IPVS, after ipvsadm -C)
# IPVSADM in the environment names another program than ipvsadm.
#
#   t WORDS...           runs ipvsadm with the words, without input, and records it
#   ti INPUT WORDS...    the same with an input
#
# A record is "$ ipvsadm WORDS", the input in lines "0|...", standard output in lines "1|...",
# standard error in lines "2|...", and "rc=STATUS". FILTER, if set, is a sed script for both
# streams.
IPVSADM=${IPVSADM:-ipvsadm}
export LC_ALL=C
_d=$(mktemp -d)
trap 'rm -rf "$_d"' EXIT

_words() {
  local word
  printf '$ ipvsadm'
  for word in "$@"; do
    if [[ $word =~ ^[]A-Za-z0-9_./:,=@%+[-]+$ ]]; then
      printf ' %s' "$word"
    else
      printf " '%s'" "$word"
    fi
  done
}

_lines() { # LABEL FILE
  local line
  while IFS= read -r line || [ -n "$line" ]; do printf '%s|%s\n' "$1" "$line"; done <"$2"
}

_rec() { # OUTPUT ERRORS
  _lines 1 "$1"
  _lines 2 "$2"
}

_run() { # WORDS, the input in $_d/in
  local status
  $IPVSADM "$@" <"$_d/in" >"$_d/out" 2>"$_d/errors"
  status=$?
  [ -z "${FILTER:-}" ] || sed -i "$FILTER" "$_d/out" "$_d/errors"
  _rec "$_d/out" "$_d/errors"
  echo "rc=$status"
}

t() {
  _words "$@"
  echo
  : >"$_d/in"
  _run "$@"
}

ti() {
  printf '%s' "$1" >"$_d/in"
  shift
  _words "$@"
  echo ' <<E'
  _lines 0 "$_d/in"
  _run "$@"
}
