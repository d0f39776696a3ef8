. "$(dirname "$0")/lib.sh"
t -A -t 10.0.0.1:80 -s nosuch
t -E -t 10.0.0.1:80 -s nosuch
t -A -t 10.0.0.1:80
t -A -t 10.0.0.1:80 -s nosuch
t -E -t 10.0.0.1:80 -s nosuch
t -A -t 10.0.0.1:80 --pe nosuch
t -E -t 10.0.0.1:80 -p --pe nosuch
t -E -t 10.0.0.1:80 --pe nosuch
t -E -t 10.0.0.1:80 -s ''
t -E -t 10.0.0.1:80 -s RR
t -E -t 10.0.0.1:80 -s rrrrrrrrrrrrrrrrrrrrrrrrrrrr
t -E -t 10.0.0.1:80 -p 5 --pe ''
t -Ln
t -A -f 9 -s nosuch
t -E -f 9 -s nosuch
