. "$(dirname "$0")/lib.sh"
t -A -t 10.0.0.1:80 -t 10.0.0.2:80
t -A -t 10.0.0.1:80 -u 10.0.0.2:80
t -A -t 10.0.0.1:80 -f 3
t -A -t 10.0.0.1:80 -s rr -s wrr
t -L -n -n
t -Lnn
t -L --stats --stats
t -A -t 10.0.0.1:80 -p -p
t -A -t 10.0.0.1:80 -p 3 -M 255.0.0.0 -M 255.0.0.0
t -a -t 10.0.0.1:80 -r 10.0.1.1 -w 1 -w 2
t -a -t 10.0.0.1:80 -r 10.0.1.1 -x 1 -x 2
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type gre --tun-type gre
t -A -t 10.0.0.1:80 -b flag-1 -b flag-2
t -L --sort --sort
t -L -c -c
t --start-daemon master --syncid 1 --syncid 2
t -A -t 10.0.0.1:80 -o -o
t -A -f 3 -6 -6 -s rr
t -Ln
