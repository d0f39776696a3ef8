. "$(dirname "$0")/lib.sh"
t -L -c
t -Lnc --persistent-conn
t -Lc -X
t -Lc --nosort
t -Lc --tun-info
t -Lc --syncid 3
t -L --timeout -n
t -L --timeout --tun-info
t -L --daemon --persistent-conn
t -L --timeout --nosort
t -Lcn --sort
t -L --connection --numeric
t -L --stats --exact
t -S --numeric
t --save
t --list --rate -n
t --zero
