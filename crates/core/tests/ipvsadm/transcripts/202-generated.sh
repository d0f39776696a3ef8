. "$(dirname "$0")/lib.sh"
t -E -t 10.0.0.3 --pe sip -s nosuch
t -a -u [2001:db8::1]:53 -r 200.0.0.9 --tun-type gue --tun-port 5
t -Sn
t -D --sctp-service 10.0.0.1:80
t -a -t 10.0.0.1:80 -r 0.0.0.0
t -L -n --thresholds
t -a -t 10.0.0.2:80 -r 10.0.1.1 -i -m
t -E -u [2001:db8::1]:53 -b sh-port -s sh -s rr
t -L -n --daemon --persistent-conn
t -A -f 1 -s mh
t -d -u 10.0.0.1:53 -r [2001:db8::2]
t -a --sctp-service 10.0.0.1:80 -r [2001:db8::2]
t -L -n
t -e -f 4000000000 -r 10.0.1.2 -i --tun-type gre
t -a --sctp-service 10.0.0.1:80 -r 200.0.0.9 -i --tun-type gre
t -a -t 10.0.0.1:80 -r 10.0.1.2
t -L -n --tun-info --exact
t -L -n -c --tun-info
t -A -t 10.0.0.2:80 --pe sip
t -a --sctp-service 10.0.0.1:80 -r [2001:db8::2]
t -A -f 1
t -E -t 10.0.0.2:80 -b flag-1,flag-3 -s wrr -b sh-port
t -A --sctp-service 10.0.0.1:80
t --set 0 0 0
t -D -t 10.0.0.1:80
t -a -f 1 -6 -r [2001:db8::3]:53 --tun-type gue --tun-port 5 --tun-csum
t -A -f 1 -6 -p 60
t -a -f 1 -6 -r 200.0.0.9 -x 10 -i -g
t -a -f 4000000000 -r [2001:db8::3]:53
t -A -t 200.1.1.1:21
t -L -n
t -L -n --thresholds
t -a -t 10.0.0.1:80 -r [2001:db8::2]
t -a -t 10.0.0.1:443 -r [2001:db8::3]:53 -y 3 -g
t -A -u [2001:db8::1]:53 -M 255.255.255.0 -s mh -p 0
t -C
t -E -f 1 -6 --pe sip -M 255.255.255.0 -b mh-fallback
t -L -n -u 10.0.0.1:53 --thresholds
t -e -t 10.0.0.1:80 -r [2001:db8::2]:80 -y 3
t -d -f 1 -6 -r 10.0.1.4:0
t -Z -f 4000000000
t -A -t 10.0.0.1:80 -s rr -s nosuch -M 255.255.255.0
t -a -t 10.0.0.2:80 -r 10.0.1.4:0 -x 10
t -L -n --sort --sort
t -D -t [2001:db8::1]:80
t --stop-daemon backup
t -A -f 1
t -e -u [2001:db8::1]:53 -r [2001:db8::3]:53 --tun-csum -w x -i --tun-type gre
t -A -t 200.1.1.1:21 -s nosuch -s rr -s wrr
t -L -n -f 1 --rate --persistent-conn
t -Sn
t -D -t 10.0.0.2:80
t -a -t 10.0.0.1:http -r [2001:db8::2] -i --tun-type gre
t -e -t 10.0.0.2:80 -r [2001:db8::2] --tun-csum --tun-type gue --tun-port 5
t -a -t 10.0.0.2:80 -r 10.0.1.2 -w 5
t -a -t 10.0.0.3 -r [2001:db8::3]:53
t -D -t 200.1.1.1:21
t -a -t 200.1.1.1:21 -r 10.0.1.3:8080 --tun-type gue --tun-port 5 --tun-type gue --tun-port 5 -w x
t -a -t 10.0.0.1:80 -r 10.0.1.4:0 -i --tun-type gre
t -a -u 10.0.0.1:53 -r 10.0.1.1 -i --tun-type gre -w 5 -x 10
t -a -u [2001:db8::1]:53 -r 10.0.1.2
t -A -u [2001:db8::1]:53 -M 255.255.255.0
t -Sn
t -D -t [2001:db8::1]:80
t -a -u 10.0.0.1:53 -r [2001:db8::2] -w 5 -g -y 3
t -a --sctp-service 10.0.0.1:80 -r [2001:db8::2] -i -x 10 -x 10
t -C
t -A -t 10.0.0.1:http
t -a -t 200.1.1.1:21 -r 10.0.1.1:http --tun-type gue --tun-port 5 -x 10
t -d -t 10.0.0.1:443 -r [2001:db8::2]
t -e -t [2001:db8::1]:80 -r [2001:db8::3]:53 -m -w 5 -s rr
t -E -u [2001:db8::1]:53 -M 64 -p -s nosuch
t -E -t 10.0.0.1:http -s nosuch -M 255.255.255.0
t -E -f 1 -M 64
t -a -t 10.0.0.3 -r 0.0.0.0 -w x
t -Sn
t -C
t -e -u 10.0.0.1:53 -r 10.0.1.3:8080 --tun-type gue --tun-port 5
t -A -t 10.0.0.3 -b sh-port -b flag-1,flag-3
t -a -t 10.0.0.3 -r [2001:db8::2]:80 -w x
t --stop-daemon backup --mcast-interface lo --syncid 7
t -Sn
t -A -t 10.0.0.1:http
t -Sn
t -A -t [2001:db8::1]:80 -s wrr --pe sip
t -L -n --thresholds
t -L -n -t [2001:db8::1]:80
t --set 0 7 300
t -A -t 10.0.0.1:http
t -A -t 10.0.0.2:80 -M 64 -p 60 -p
t --start-daemon master --mcast-interface lo --syncid 7
t -D -f 4000000000
t -A -t 10.0.0.1:443 -s rr -s nosuch
t -Sn
t -E -t 10.0.0.3 -b mh-fallback
t -a -f 1 -r 10.0.1.1:http -m --tun-csum
t -Sn
t -A -u 10.0.0.1:53 --pe sip
t -D -t 10.0.0.3
t -Sn
t -E --sctp-service 10.0.0.1:80 -s sh
t -Sn
t -A -t 10.0.0.1:80
t -A -t 10.0.0.1:443
t -Sn
t -L -n
t -A -t 10.0.0.3 -s rr -p 0
t -e -t 10.0.0.1:http -r 200.0.0.9 -i -x 10 -s rr
t -a -t 10.0.0.3 -r [2001:db8::2] -s rr
t -a -t 10.0.0.1:443 -r 0.0.0.0 -m
t -L -n --exact --thresholds
t -a -f 1 -6 -r 0.0.0.0
t -d -t 10.0.0.1:80 -r 10.0.1.4:0
t -a -f 1 -6 -r 10.0.1.1:http -w 5 -w x -s rr
t -a --sctp-service 10.0.0.1:80 -r 10.0.1.1:http -w 5
t -A --sctp-service 10.0.0.1:80 --pe sip -s sh -p 0
t -a -t [2001:db8::1]:80 -r 0.0.0.0 -g -y 3
t -d -f 1 -6 -r [2001:db8::2]:80
t -a -f 1 -r 10.0.1.2
t -Z -t 10.0.0.3
t -A -f 4000000000
t -e --sctp-service 10.0.0.1:80 -r [2001:db8::2]:80 -w 5
t -a -u [2001:db8::1]:53 -r [2001:db8::3]:53 -i --tun-type gre -x 10
t -A --sctp-service 10.0.0.1:80 -p 60
t -L -n --exact --sort
t -a -u 10.0.0.1:53 -r [2001:db8::2]:80 -w 5
t -L -n -c --stats
t -E -t 10.0.0.3 -s sh -p100
t -A -t [2001:db8::1]:80
t -Sn
t -L -n --tun-info --thresholds
t -Sn
t -a -t 10.0.0.1:443 -r 10.0.1.4:0
t -A -t 10.0.0.3
t -d --sctp-service 10.0.0.1:80 -r 10.0.1.3:8080
t -E -t [2001:db8::1]:80 -s nosuch
t -L -n --timeout
t -a -u [2001:db8::1]:53 -r [2001:db8::2]:80 -s rr -i -i
t -e -t 10.0.0.1:http -r 200.0.0.9 --tun-type gue --tun-port 5 --tun-type gue --tun-port 5
t -D -t 200.1.1.1:21
t -a -f 1 -r [2001:db8::2]:80
t -A -t 10.0.0.3 -b sh-port
t -d -t [2001:db8::1]:80 -r 200.0.0.9
t -A -f 4000000000 -o
t -A -f 1 -s wrr
t -A -f 1 -6
t -E -t 10.0.0.2:80
t -A -t 10.0.0.1:http -b sh-port -p100
t -E --sctp-service 10.0.0.1:80
t -L -n
t -Sn
t -a -f 4000000000 -r [2001:db8::2]:80 -w 5 -s rr
t -A -t 10.0.0.2:80 -s mh -p 0
t -a -f 4000000000 -r [2001:db8::2] -m
t -E -f 4000000000
t -L -n --stats -c
t -a -f 1 -6 -r 10.0.1.1:http -w x
t -A -f 4000000000 -b mh-fallback -b sh-port
t -E -f 4000000000 -b flag-1,flag-3
t -L -n
t -a -t 10.0.0.1:443 -r [2001:db8::2] -i --tun-type gre -w 0 -w 0
t -A -f 1 -p100
t --set 5 0 9
t -d -t [2001:db8::1]:80 -r [2001:db8::3]:53
t -D -u [2001:db8::1]:53
t -A -t 10.0.0.1:443
t -A -t 10.0.0.1:http
t -A -u 10.0.0.1:53
t -C
t -E -u 10.0.0.1:53
t -E -u [2001:db8::1]:53
t -Sn
t -A -u 10.0.0.1:53 -b mh-fallback
t -e -t 200.1.1.1:21 -r [2001:db8::3]:53
t -Sn
t --set 900 120 300
t -A -t 10.0.0.1:80 --pe sip --pe sip
t -a --sctp-service 10.0.0.1:80 -r 200.0.0.9 -w x
t -a -t 10.0.0.1:80 -r 0.0.0.0 -y 3
t -L -n --sctp-service 10.0.0.1:80 --stats --thresholds
t -e -f 4000000000 -r [2001:db8::3]:53
t -L -n
t -L -n
t -L -n --persistent-conn --rate
t -A -t 10.0.0.1:443 -p -b flag-1,flag-3
t -L -n --exact --tun-info
t --stop-daemon master --mcast-interface lo --syncid 7
t -a -t 10.0.0.1:80 -r [2001:db8::3]:53 --tun-csum -x 10 -i
t -L -n --sctp-service 10.0.0.1:80
t -Sn
t -d -f 1 -6 -r 10.0.1.3:8080
t -E -t 10.0.0.3 -b sh-port
t -D -t 10.0.0.2:80
t -Sn
t -d --sctp-service 10.0.0.1:80 -r 10.0.1.3:8080
t -E -t 200.1.1.1:21 -s nosuch
t -A -t 10.0.0.3 -p 60
t -A --sctp-service 10.0.0.1:80
t -a -t 10.0.0.3 -r 200.0.0.9 -m -w x
t -d -t 10.0.0.2:80 -r 10.0.1.3:8080
t -L -n --thresholds --sort
t -A -f 4000000000 -p -o -p
t -A -f 1 -6 -n -s nosuch -p
t -L -n --sort
t -L -n --daemon --persistent-conn
t -A -f 1 -6
t -L -n -f 4000000000 --tun-info --rate
t -E -t 10.0.0.3 -M 255.255.255.0
t -A -u 10.0.0.1:53 -M 255.255.255.0 -s rr
t -a -t 10.0.0.1:80 -r 200.0.0.9 -g -i
t -d -t 10.0.0.1:http -r [2001:db8::2]
t -A -t 10.0.0.1:80 -s rr -s rr -s mh
t -Z -u 10.0.0.1:53
t -a -t 10.0.0.2:80 -r 10.0.1.2 --tun-type gue --tun-port 5
t -L -n --rate --daemon
t -A -t [2001:db8::1]:80
t -Sn
t -L -n
t -Sn
t -L -n
t -A -t 10.0.0.1:443
t -a -u [2001:db8::1]:53 -r [2001:db8::2]:80 --tun-csum
t -a -t 10.0.0.3 -r 0.0.0.0
t -a -t 10.0.0.1:http -r 10.0.1.2 -w x -s rr -w x
t -a -t [2001:db8::1]:80 -r [2001:db8::3]:53
t -A -t [2001:db8::1]:80
t -D -t [2001:db8::1]:80
t --stop-daemon backup --mcast-interface lo --syncid 7
t -A -t 10.0.0.1:443 -s rr
t -A -f 1 -6 -b sh-port
t -L -n -t 10.0.0.1:http --persistent-conn --exact
t -A -u 10.0.0.1:53 -b mh-fallback -p
t -D -t 200.1.1.1:21
t -Sn
t -a -f 4000000000 -r [2001:db8::2]:80 -i -m -m
t -L -n -u [2001:db8::1]:53 --persistent-conn
t -e -t 10.0.0.1:http -r 10.0.1.3:8080
t -Sn
t -a -t 10.0.0.1:443 -r 0.0.0.0 -w x
t -A -f 1 -6 --pe sip
t -A -u [2001:db8::1]:53 -s rr
t -A -f 1
t -a -t 10.0.0.1:80 -r 10.0.1.1:http
t -A -t 10.0.0.1:http -s rr -p 0 -M 64
t -A -t 10.0.0.1:http -s nosuch -s rr --pe sip
t -E -t 10.0.0.1:443 -p 60
t -A -f 1 -s mh -s sh
t -Sn
t -L -n --exact --timeout
t -A -t 10.0.0.3
t -Z -u [2001:db8::1]:53
t -A -t 200.1.1.1:21
t -a -t 10.0.0.1:http -r 10.0.1.2
t -A -t 10.0.0.1:80
t -E -t 10.0.0.2:80 -s rr
t -L -n
t -E -t 10.0.0.3 -s sh
t -a -t 10.0.0.1:443 -r 10.0.1.1 --tun-type gue --tun-port 5
t -A -t 10.0.0.1:80 -b flag-1,flag-3
t --stop-daemon backup --mcast-interface lo --syncid 7
t -L -n --sctp-service 10.0.0.1:80
t -E -f 1
t -e --sctp-service 10.0.0.1:80 -r 10.0.1.1 -s rr
t -L -n
t -Z -t 10.0.0.2:80
t -a --sctp-service 10.0.0.1:80 -r 10.0.1.2
t -A -u 10.0.0.1:53 -s rr -p
t -E -t 10.0.0.1:http -b flag-1,flag-3 -p 0 -b flag-1,flag-3
t -d -u 10.0.0.1:53 -r 10.0.1.3:8080
t -L -n --daemon
t -E -t 10.0.0.3
t -L -n
t -A -f 4000000000
t -L -n -t 10.0.0.2:80 --thresholds --exact
t -a -t [2001:db8::1]:80 -r 200.0.0.9 --tun-type gue --tun-port 5
t -L -n --rate
t -D -t 10.0.0.1:80
t -A -t 10.0.0.3 -p100 -s mh -p100
t -E -u 10.0.0.1:53
t -E -t 10.0.0.1:80
t -L -n
t -a -f 1 -6 -r 0.0.0.0
t -e -t 10.0.0.1:http -r 10.0.1.1:http
t -A -t 10.0.0.1:80
t -L -n
t -a -t 10.0.0.3 -r [2001:db8::2] -w x
t -e -t 10.0.0.3 -r 10.0.1.1:http
t -a -t 10.0.0.1:443 -r 10.0.1.3:8080
t -Z --sctp-service 10.0.0.1:80
t -L -n -t 10.0.0.2:80
t -e -f 4000000000 -r 10.0.1.1
t --start-daemon backup --mcast-interface lo --syncid 7
t -a -f 4000000000 -r 10.0.1.1:http -y 3 -x 10
t -e -f 1 -r 10.0.1.1 -i -g -w 0
t -Sn
t -a -t 10.0.0.3 -r [2001:db8::3]:53 -m
t -A -t 200.1.1.1:21 -b flag-1,flag-3 -s nosuch
t -A -f 1
t -E -t 10.0.0.3 -M 64
t -a -t 10.0.0.1:80 -r 10.0.1.1 --tun-csum -x 10
t --stop-daemon master
t -a -t 10.0.0.3 -r 10.0.1.1
t -a -t 10.0.0.1:http -r 0.0.0.0 -x 10 -g
t -A -f 1 -6 -s wrr
t -L -n
t -Sn
t -a -t 10.0.0.1:http -r 10.0.1.1:http
t -L -n -c --exact
t -A -t [2001:db8::1]:80 -s nosuch
t -L -n --tun-info
t -e -u 10.0.0.1:53 -r 10.0.1.2 -s rr -i -m
t -Sn
t --set 5 120 0
t -a -t 10.0.0.1:443 -r 0.0.0.0
t -a -f 1 -6 -r [2001:db8::2] -g --tun-type gue --tun-port 5 -i
t -a -f 1 -r 10.0.1.4:0 -w x -g --tun-type gue --tun-port 5
t -d -f 4000000000 -r 0.0.0.0
t -Z -t 10.0.0.2:80
t -a -f 1 -6 -r [2001:db8::2]:80 -g
t -a -f 4000000000 -r 10.0.1.4:0 --tun-csum -i
t -A --sctp-service 10.0.0.1:80 -s rr
t -A -t 10.0.0.1:http -p100 -s mh
t -a -t 10.0.0.1:http -r 10.0.1.3:8080 -x 10
t --set 5 7 9
t -A -f 4000000000
t -Sn
t -a -t 200.1.1.1:21 -r 10.0.1.1:http -x 10
t -e -u [2001:db8::1]:53 -r [2001:db8::3]:53 --tun-csum
t -a -t 200.1.1.1:21 -r 0.0.0.0 -i --tun-type gre
t -L -n -t 10.0.0.1:80 --rate
t -e -t [2001:db8::1]:80 -r 200.0.0.9
t -a -f 4000000000 -r 10.0.1.3:8080 --tun-type gue --tun-port 5
t -E -u [2001:db8::1]:53
t -A -t 10.0.0.3 -o -s sh
t -E -f 1
t -A -t [2001:db8::1]:80 -M 255.255.255.0 -p100 -b flag-1,flag-3
t -A -t 10.0.0.2:80 -b flag-1,flag-3 -n
t -a -t 10.0.0.1:443 -r 10.0.1.4:0 -w x -x 10 -w 0
t -L -n --sort
t -D -f 4000000000
t -A --sctp-service 10.0.0.1:80 -o -s sh -p
t -a -t 10.0.0.1:443 -r 10.0.1.1:http -y 3
t -A -f 4000000000
t -a -f 1 -r 0.0.0.0 -w x -i -i
t -L -n --daemon --timeout
t -a --sctp-service 10.0.0.1:80 -r 10.0.1.1:http -w 0 -i --tun-type gre --tun-type gue --tun-port 5
t -C
t -L -n
t -L -n -c -c
t -a -t 10.0.0.1:80 -r 10.0.1.4:0
t -A -t 10.0.0.1:443
t -E -t 10.0.0.3
t -L -n --rate --stats
t -L -n --persistent-conn --daemon
t -Sn
t -D -t 10.0.0.1:http
t -E -t [2001:db8::1]:80
t -Sn
t -a -t 10.0.0.2:80 -r [2001:db8::2]
t -a -f 4000000000 -r [2001:db8::3]:53
t -d -t 10.0.0.1:80 -r [2001:db8::3]:53
t --stop-daemon backup --mcast-interface lo --syncid 7
t -A -f 1 -6 -p100
t -L -n -t [2001:db8::1]:80 --rate
t -L -n --timeout --daemon
t -e -f 1 -r [2001:db8::2] --tun-type gue --tun-port 5
t -L -n -u [2001:db8::1]:53 --thresholds --tun-info
t -L -n -f 4000000000 --rate --tun-info
t -e -u [2001:db8::1]:53 -r [2001:db8::2]
t -A -f 4000000000 -p 0
t -A -t [2001:db8::1]:80
t -A -t 10.0.0.1:80 -s sh -s nosuch
t -a -f 1 -r 10.0.1.1
t -a -t 200.1.1.1:21 -r 0.0.0.0 --tun-type gue --tun-port 5 -w 0
t -L -n
t -Sn
t -A -t 200.1.1.1:21 -p100 -b mh-fallback
t -d -f 4000000000 -r 10.0.1.2
t -E -f 1 -p
t -L -n -c
t -A -t 10.0.0.1:http -s wrr -b flag-1,flag-3 -M 64
t -e -t 10.0.0.1:80 -r [2001:db8::3]:53 -m --tun-type gue --tun-port 5
t -Sn
t -a -t [2001:db8::1]:80 -r 10.0.1.1 --tun-type gue --tun-port 5
t -a -t 200.1.1.1:21 -r [2001:db8::3]:53 -w 0 -w x
t -A -t 10.0.0.3 --pe sip
t -A -t 10.0.0.1:443 -p100 -n
t -A -t 200.1.1.1:21
t -A -f 1 -6 -s wrr -s sh -p100
t -a -t 10.0.0.1:80 -r [2001:db8::2] --tun-type gue --tun-port 5
t --set 900 7 0
t -L -n -t 10.0.0.1:http
t -E -u 10.0.0.1:53 -o
t -E -f 1 -o -p -b flag-1,flag-3
t -A -u 10.0.0.1:53 -s mh -p 0
t -A -f 1 -s wrr -s sh -M 64
t -a -f 1 -6 -r 10.0.1.4:0
t -a -u [2001:db8::1]:53 -r [2001:db8::2]:80 -m
t -A -t [2001:db8::1]:80
t -D -t 10.0.0.2:80
t -e -t 10.0.0.1:http -r [2001:db8::2]:80 --tun-csum --tun-type gue --tun-port 5
t -a -u 10.0.0.1:53 -r 0.0.0.0
t -d -u [2001:db8::1]:53 -r 10.0.1.4:0
t -e -u [2001:db8::1]:53 -r 10.0.1.1 --tun-csum
t -E -t 10.0.0.1:443
t -d -t 10.0.0.1:443 -r 10.0.1.3:8080
t -E -f 4000000000 -M 255.255.255.0
t -e -f 1 -6 -r [2001:db8::2] -i
t -E -t [2001:db8::1]:80
t -A -t 10.0.0.1:443 -p 60 -p100 -p
t -L -n -u [2001:db8::1]:53 --thresholds
t -a -f 1 -r 10.0.1.3:8080 -i --tun-type gre -m
t -E -t 10.0.0.2:80 -M 255.255.255.0
t -Sn
t -A --sctp-service 10.0.0.1:80 -b mh-fallback
t -A --sctp-service 10.0.0.1:80 -p -o -M 64
t -d -t 10.0.0.1:443 -r 10.0.1.2
t -E -t 200.1.1.1:21 -n
t -e -u [2001:db8::1]:53 -r 10.0.1.2 -m -g
t -Z -u [2001:db8::1]:53
t -a -t [2001:db8::1]:80 -r 0.0.0.0 -i --tun-type gre -i -i
t -L -n --tun-info
t -A -t 200.1.1.1:21 -b flag-1,flag-3 -p
t -L -n --thresholds --daemon
t -a -f 1 -r 10.0.1.3:8080 -g
t -A -t 10.0.0.1:80 -s nosuch -s wrr
t -d -u [2001:db8::1]:53 -r 10.0.1.4:0
t -a -f 1 -r 200.0.0.9
t -a -f 4000000000 -r 10.0.1.2 -i --tun-type gre -s rr -w 0
t -d -t 10.0.0.1:80 -r [2001:db8::2]:80
t -A -t [2001:db8::1]:80 -p100 -s mh
t --stop-daemon backup --mcast-interface lo --syncid 7
t -A -t 10.0.0.1:443 -M 64 -M 255.255.255.0
t -E -f 1 -6
t -A -t 10.0.0.1:443 -p 0 -p 60 -n
t -A -u 10.0.0.1:53 -s wrr -n -p100
t -e --sctp-service 10.0.0.1:80 -r 10.0.1.2
t -L -n
t -Sn
t -A -t 10.0.0.1:http
t -a -u 10.0.0.1:53 -r 10.0.1.1
t -a -f 1 -6 -r [2001:db8::2]
t -a -t 10.0.0.1:443 -r 10.0.1.3:8080 -g -w 5 -w 5
t -A -t 10.0.0.3
t -Sn
t -A -t 10.0.0.1:http -b flag-1,flag-3
t -Sn
t -L -n
t --start-daemon master --mcast-interface lo
t -a -t 10.0.0.1:http -r 10.0.1.3:8080 -w 0 -m -w 5
t -e -t 10.0.0.3 -r 10.0.1.1 --tun-type gue --tun-port 5 --tun-csum
t -D -t 200.1.1.1:21
t -e -t 10.0.0.1:80 -r [2001:db8::3]:53 -y 3 --tun-csum -x 10
t -A -t 200.1.1.1:21 -s nosuch
t -A -t [2001:db8::1]:80 --pe sip
t -a -t [2001:db8::1]:80 -r 10.0.1.3:8080
t -D --sctp-service 10.0.0.1:80
t -d -t [2001:db8::1]:80 -r 200.0.0.9
t -A -t [2001:db8::1]:80
t -Sn
t -E -t 200.1.1.1:21 -b mh-fallback
t -Sn
t -A --sctp-service 10.0.0.1:80
t -L -n --persistent-conn --tun-info
t -e -t 10.0.0.3 -r [2001:db8::2]:80 -w x -w 0
t -Sn
t -e -u 10.0.0.1:53 -r 10.0.1.1 -m -y 3
t -a --sctp-service 10.0.0.1:80 -r 200.0.0.9
t -A -f 4000000000
t --stop-daemon backup --mcast-interface lo --syncid 7
t -a --sctp-service 10.0.0.1:80 -r 0.0.0.0 -w x
t -a -t [2001:db8::1]:80 -r 10.0.1.4:0 --tun-type gue --tun-port 5
t -a --sctp-service 10.0.0.1:80 -r 10.0.1.4:0 -s rr
t -D -f 1 -6
t -A -t 10.0.0.1:80
t -A -u 10.0.0.1:53 -s nosuch -s sh -p100
t -A -t 10.0.0.1:80 -s rr -b flag-1,flag-3
t -L -n -t 10.0.0.1:443 --rate
t -A -t 10.0.0.3 -s nosuch
t -A -u [2001:db8::1]:53
t -e -u 10.0.0.1:53 -r [2001:db8::2]:80
t -A -t 10.0.0.1:80 -b sh-port
t -D -t 10.0.0.2:80
t -a -f 1 -6 -r 0.0.0.0 -m
t -Sn
t -A -t 10.0.0.3
t -A -t 10.0.0.2:80 -s sh
t -A -f 4000000000 -o
t -Sn
t -L -n
t -a -t 10.0.0.2:80 -r 10.0.1.1:http --tun-type gue --tun-port 5
t -a -t 10.0.0.2:80 -r [2001:db8::2]:80 -w 0 --tun-csum
t -a -u [2001:db8::1]:53 -r [2001:db8::2]:80 -g --tun-csum --tun-type gue --tun-port 5
t -E -t 10.0.0.1:http -o
t -L -n
t -Z -t [2001:db8::1]:80
t -D -t 10.0.0.2:80
t -e -t 10.0.0.1:80 -r 10.0.1.1:http -i --tun-type gre
t -a -f 4000000000 -r [2001:db8::2]
t -a -t 10.0.0.2:80 -r 10.0.1.1:http -y 3 -w 5 -x 10
$IPVSADM --set 900 120 300
$IPVSADM --stop-daemon master 2>/dev/null
$IPVSADM --stop-daemon backup 2>/dev/null
