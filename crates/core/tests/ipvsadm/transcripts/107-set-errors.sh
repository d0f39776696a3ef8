. "$(dirname "$0")/lib.sh"
t --set
t --set 1
t --set 1 2
t --set 1 2 3 4
t --set a b c
t --set 1 2 x
t --set 1 b x
t --set 2678401 1 1
t --set -1 1 1
t --set 1 2 3 -n
t --set=1 2 3
t --set '' 1 1
t --set ' 9' +8 7
t -L --timeout
t --set -- 900 120 300
t --set -- -1 1 1
t -L --timeout
t 50 --set 60 70
t -L --timeout
t --set 900 120 300
