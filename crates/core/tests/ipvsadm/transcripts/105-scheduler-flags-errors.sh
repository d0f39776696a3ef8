. "$(dirname "$0")/lib.sh"
t -A -t 10.0.0.1:80 -s rr -b sh-port
t -A -t 10.0.0.1:80 -b sh-port
t -A -t 10.0.0.1:80 -s sh -b mh-port
t -A -t 10.0.0.1:80 -s mh -b sh-fallback
t -A -t 10.0.0.1:80 -s sh -b foo
t -A -t 10.0.0.1:80 -s sh -b sh-port,foo
t -A -t 10.0.0.1:80 -s rr -b flag-4
t -A -t 10.0.0.1:80 -s sh -b SH-PORT
t -A -t 10.0.0.1:80 -s sh -b ''
t -A -t 10.0.0.1:80 -s sh -b sh-port,,sh-fallback
t -A -t 10.0.0.1:80 -b flag-1 foo
t -A -t 10.0.0.1:80 -s nosuch -b flag-1
t -A -t 10.0.0.1:80 -s sh -b sh-port -s rr
t -Ln
t -E -t 10.0.0.1:80 -s mh -b mh-port
t -Ln
t -E -t 10.0.0.1:80 -s mh -b flag-3
t -Ln
t -Sn
t -E -t 10.0.0.1:80 -s wlc -b flag-3,flag-1
t -Sn
