. "$(dirname "$0")/lib.sh"
t -A -t 10.0.0.1:80
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type foo
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type gue
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type gue --tun-port 0
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type gue --tun-port 65536
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-port 6080
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type ipip --tun-port 6080
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-csum
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-nocsum
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type gre --tun-remcsum
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type gre --tun-port 6080
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type gue --tun-port 6080 --tun-csum --tun-nocsum
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type gue --tun-port 6080 --tun-remcsum --tun-csum
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type gre --tun-csum --tun-nocsum
t -a -t 10.0.0.1:80 -r 10.0.1.1 -g --tun-type ipip
t -a -t 10.0.0.1:80 -r 10.0.1.1 -m --tun-csum
t -a -t 10.0.0.1:80 -r 10.0.1.1 --tun-type gre
t -a -t 10.0.0.1:80 -r 10.0.1.1 -m --tun-type gue
t -a -t 10.0.0.1:80 -r 10.0.1.1 -g --tun-port 1
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type GUE
t -a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type ''
t -d -t 10.0.0.1:80 -r 10.0.1.1 --tun-type gre
t -Ln --tun-info
t -e -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type gre
