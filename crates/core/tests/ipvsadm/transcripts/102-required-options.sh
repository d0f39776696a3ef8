. "$(dirname "$0")/lib.sh"
t -A
t -E
t -D
t -a
t -a -t 10.0.0.1:80
t -a -r 10.0.1.1
t -d -t 10.0.0.1:80
t -e -t 10.0.0.1:80
t -e
t -d
t -A -s rr
t -a -m -w 3
t -d -w 3
t -L -s rr -c
