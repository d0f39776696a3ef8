. "$(dirname "$0")/lib.sh"
t -a -f 4000000000 -r 200.0.0.9 -y 3
t -L -n -t 10.0.0.2:80
t -Sn
t -E --sctp-service 10.0.0.1:80
t -A -t [2001:db8::1]:80
t -A -t 10.0.0.1:http -s wrr -b sh-port -b mh-fallback
t -d --sctp-service 10.0.0.1:80 -r 10.0.1.3:8080
t -e -f 4000000000 -r 10.0.1.2
t -A -t 10.0.0.2:80 -s rr -b mh-fallback
t -a --sctp-service 10.0.0.1:80 -r 10.0.1.4:0 -i --tun-type gue --tun-port 5
t -a -t 10.0.0.1:80 -r 10.0.1.2 --tun-type gue --tun-port 5
t -a -f 4000000000 -r 10.0.1.2 -w 0 -w 5 -s rr
t -a -t [2001:db8::1]:80 -r 10.0.1.1
t -e -t 10.0.0.1:443 -r 10.0.1.1:http
t -Sn
t -a -t 10.0.0.1:80 -r 10.0.1.1
t -A -t 10.0.0.1:80 -b sh-port
t -L -n -c
t -A -t 10.0.0.3
t --stop-daemon backup --mcast-interface lo
t -a -t 10.0.0.1:80 -r 10.0.1.1:http
t -A -t 200.1.1.1:21
t -A -f 1 -6 -p
t -D -t 10.0.0.2:80
t -a -t 10.0.0.2:80 -r 10.0.1.3:8080 --tun-type gue --tun-port 5
t -a -f 1 -r 10.0.1.1:http
t -A -t 10.0.0.1:http -M 64 -s rr
t -A -f 1 -s mh -s wrr
t -L -n
t -a -t 10.0.0.1:80 -r 0.0.0.0 -w 0
t -a -t 10.0.0.1:443 -r 10.0.1.2
t -e -t 10.0.0.2:80 -r 10.0.1.1 -w 5 -w 5
t -e -u 10.0.0.1:53 -r 0.0.0.0 -i --tun-type gre
t -A -f 1
t -e -t [2001:db8::1]:80 -r 10.0.1.4:0 -i --tun-csum
t -A -t 200.1.1.1:21 -p 60 -b sh-port -n
t -e -f 1 -r 10.0.1.1
t -A -f 4000000000 -p 0
t -Z -f 1
t -a --sctp-service 10.0.0.1:80 -r 200.0.0.9 -y 3
t -A -t 200.1.1.1:21
t -A -f 1 -6 -s sh -M 255.255.255.0
t -A -t 10.0.0.2:80 -s rr -s sh -M 255.255.255.0
t -a -t 10.0.0.2:80 -r 10.0.1.1
t -A -u [2001:db8::1]:53 -s nosuch -s sh
t -a -f 1 -6 -r [2001:db8::3]:53 --tun-csum --tun-csum -y 3
t -e -u 10.0.0.1:53 -r 0.0.0.0
t -L -n --exact
t -D -t 10.0.0.1:80
t -A -t 10.0.0.3
t -E -t 200.1.1.1:21 -o
t -A -t 10.0.0.1:443
t -a -u [2001:db8::1]:53 -r 10.0.1.1 --tun-csum --tun-csum -g
t -Sn
t -L -n --rate
t -D -t 10.0.0.1:443
t -L -n -f 1
t -L -n --sctp-service 10.0.0.1:80
t -e -f 1 -r 10.0.1.1:http -m -i --tun-type gre
t -A -t 10.0.0.1:443 -s mh -M 255.255.255.0 -b flag-1,flag-3
t -Z -f 1
t -a -f 4000000000 -r 10.0.1.2 -s rr -y 3
t -A --sctp-service 10.0.0.1:80
t -E -t 10.0.0.2:80 -s mh -n -n
t -a -t 10.0.0.1:80 -r [2001:db8::3]:53 -g
t -d -t 10.0.0.2:80 -r [2001:db8::2]
t -A -u [2001:db8::1]:53 -b mh-fallback -n -p 0
t -a -t 10.0.0.3 -r [2001:db8::2]:80
t -d -t 10.0.0.1:http -r 10.0.1.4:0
t -L -n -f 1
t -e -u [2001:db8::1]:53 -r 10.0.1.4:0
t -A -u [2001:db8::1]:53
t -D -t [2001:db8::1]:80
t -Sn
t -A -f 1 -6 -p 60
t -Sn
t -a -f 4000000000 -r 200.0.0.9 -w 5 --tun-csum -i --tun-type gre
t -a -t 10.0.0.1:443 -r 10.0.1.1 -i --tun-type gre
t -A -t 200.1.1.1:21 --pe sip
t -a -t 10.0.0.1:http -r 0.0.0.0
t -d -f 1 -r 200.0.0.9
t -A -t 10.0.0.1:http -p 0
t --start-daemon master --mcast-interface lo --syncid 7
t -A -f 4000000000 --pe sip -s sh -p 60
t -A -f 1 -6 -p
t -D -t 10.0.0.1:http
t -E -t 200.1.1.1:21
t -A -t [2001:db8::1]:80 -p100
t -E -t 10.0.0.1:http
t -a -t 10.0.0.1:http -r 10.0.1.4:0
t -a -t 200.1.1.1:21 -r 10.0.1.1:http
t -a -t 10.0.0.2:80 -r 10.0.1.1 -y 3
t -e -f 4000000000 -r [2001:db8::3]:53 -w 5
t -d -t 10.0.0.2:80 -r 10.0.1.2
t -Z
t -A -f 1
t -L -n --exact --tun-info
t -L -n
t -a -t 10.0.0.1:443 -r 10.0.1.1 -w 5
t -e -t 10.0.0.1:http -r [2001:db8::2]:80 -m
t -A -t 10.0.0.1:443 -s wrr
t -A -u [2001:db8::1]:53 -s nosuch -n -s nosuch
t -L -n --daemon --timeout
t -L -n --sort
t -L -n
t --stop-daemon backup
t -e -u 10.0.0.1:53 -r [2001:db8::2] -y 3 -w 0
t -a -f 1 -r 0.0.0.0
t -a -u 10.0.0.1:53 -r [2001:db8::2] -w 0 -i --tun-type gre
t -E -f 1 -s mh -p100
t -A -f 1
t -E -t 10.0.0.1:80 -b sh-port -s mh
t -E -t 200.1.1.1:21
t -A -f 4000000000 -b flag-1,flag-3
t -L -n --tun-info
t -a -f 1 -6 -r 10.0.1.3:8080 -w x
t -L -n --daemon
t -a -t 10.0.0.2:80 -r 10.0.1.1:http -m -w 0
t -A -t 10.0.0.1:http
t -A -u 10.0.0.1:53
t -A -t [2001:db8::1]:80 --pe sip
t -a -f 1 -6 -r 10.0.1.2 --tun-csum
t -e -f 4000000000 -r 0.0.0.0 --tun-csum
t -A -f 4000000000 -s rr
t -a -f 1 -r [2001:db8::2] -g -y 3
t -A -t 10.0.0.3 -p 60 -p100
t -A -f 4000000000 -s nosuch -p 0
t -L -n --exact --thresholds
t -a -u [2001:db8::1]:53 -r 10.0.1.4:0
t --start-daemon master --mcast-interface lo
t -L -n -u 10.0.0.1:53 --stats --thresholds
t -a -f 1 -r 10.0.1.1:http -s rr --tun-csum
t -A -f 1 -s rr -s mh -p 60
t -e -u [2001:db8::1]:53 -r [2001:db8::3]:53
t -D -t 10.0.0.3
t --start-daemon master --mcast-interface lo --syncid 7
t -A -t 10.0.0.1:80 -p100 -n
t -A -u 10.0.0.1:53
t -A -u 10.0.0.1:53 -s mh
t -e -u 10.0.0.1:53 -r 200.0.0.9
t --stop-daemon backup --mcast-interface lo --syncid 7
t -a -u [2001:db8::1]:53 -r 10.0.1.1:http
t -e -t 10.0.0.1:80 -r 10.0.1.1
t -A -f 1 -6 --pe sip
t -a -t 10.0.0.2:80 -r 0.0.0.0
t -A -t 10.0.0.1:http
t -a -t 10.0.0.1:443 -r 10.0.1.1:http -i --tun-type gre -i
t -E -u [2001:db8::1]:53 -M 255.255.255.0
t -L -n --thresholds -c
t -A -u [2001:db8::1]:53 --pe sip -b flag-1,flag-3
t --stop-daemon master
t -A -t 10.0.0.1:http -M 64
t -a -t 10.0.0.1:80 -r [2001:db8::3]:53 -i --tun-type gre -m -i
t -a -t 10.0.0.3 -r [2001:db8::2]:80 -i
t -d --sctp-service 10.0.0.1:80 -r 10.0.1.3:8080
t -E -f 1 -n -p 60
t -D -t 10.0.0.1:http
t -a --sctp-service 10.0.0.1:80 -r 10.0.1.1
t -e -t 200.1.1.1:21 -r 10.0.1.4:0 -x 10
t -a -t 10.0.0.1:80 -r 10.0.1.4:0 -w x -m -m
t -a -t [2001:db8::1]:80 -r [2001:db8::3]:53 -y 3 -y 3
t -a -f 4000000000 -r 0.0.0.0
t -d -t 10.0.0.1:http -r 10.0.1.2
t -E -t 10.0.0.3
t -a -u 10.0.0.1:53 -r 10.0.1.1:http -g
t -L -n -f 4000000000 --tun-info --stats
t -a -f 1 -6 -r 10.0.1.1:http -y 3
t -a -t [2001:db8::1]:80 -r [2001:db8::3]:53 -w 0 -x 10
t -d -f 4000000000 -r [2001:db8::2]:80
t -d -t 200.1.1.1:21 -r [2001:db8::2]:80
t -A -t 10.0.0.1:http
t -e -t 10.0.0.3 -r 10.0.1.3:8080 -s rr
t -D -t 10.0.0.1:80
t -L -n -t 200.1.1.1:21 --stats
t -e -t 200.1.1.1:21 -r [2001:db8::3]:53
t -Sn
t -a -t 200.1.1.1:21 -r 200.0.0.9 -s rr
t -a -f 4000000000 -r 10.0.1.2 -x 10 -g -i
t -e -t 10.0.0.1:443 -r 10.0.1.1 -w x -x 10
t -A -t 10.0.0.1:80 -p100
t -A -u [2001:db8::1]:53 -s nosuch
t -d -f 1 -6 -r 0.0.0.0
t -a --sctp-service 10.0.0.1:80 -r 10.0.1.1:http -s rr
t --set 0 120 9
t -A -f 1 -6
t -E -t [2001:db8::1]:80 --pe sip -M 255.255.255.0
t -a -t 10.0.0.3 -r 0.0.0.0 -i --tun-type gre -i --tun-type gue --tun-port 5
t -a -t 10.0.0.2:80 -r 10.0.1.4:0
t -E -t 10.0.0.3
t -L -n -t 10.0.0.1:80 --stats --stats
t -a -f 1 -r 10.0.1.1 -m -m
t -a -t [2001:db8::1]:80 -r 10.0.1.2
t -L -n
t -e -t 10.0.0.3 -r [2001:db8::3]:53 -x 10
t -a -u [2001:db8::1]:53 -r [2001:db8::3]:53 --tun-csum
t -A -t 10.0.0.1:443
t -a --sctp-service 10.0.0.1:80 -r 10.0.1.4:0 -w x
t --set 900 0 300
t -A --sctp-service 10.0.0.1:80 -M 64
t -E -t 200.1.1.1:21
t -a -u [2001:db8::1]:53 -r 0.0.0.0
t -a -u [2001:db8::1]:53 -r 10.0.1.2 -m -w x
t -e -f 1 -6 -r 200.0.0.9 -s rr
t -A -t [2001:db8::1]:80
t -L -n --rate --tun-info
t -E -t 10.0.0.1:http -o -M 64 -s nosuch
t -A -t 10.0.0.3 -o --pe sip -s mh
t -a -f 1 -6 -r 0.0.0.0 --tun-type gue --tun-port 5 -w 0
t -a -t 10.0.0.1:http -r [2001:db8::2]:80 -w 5
t -a -t 200.1.1.1:21 -r [2001:db8::2]
t -A -u [2001:db8::1]:53
t -a -f 1 -r 0.0.0.0 -s rr
t -A --sctp-service 10.0.0.1:80 -b sh-port
t -E --sctp-service 10.0.0.1:80 -p -p
t -A -f 1 -6 -s rr
t -a -t 10.0.0.1:80 -r [2001:db8::2]
t -e -t 10.0.0.1:80 -r 10.0.1.1:http
t -e -t [2001:db8::1]:80 -r [2001:db8::2]
t -a -t [2001:db8::1]:80 -r 10.0.1.2 -m
t -A -t 10.0.0.3
t -A -t 10.0.0.3 -p 0
t -D -f 1 -6
t --stop-daemon backup --mcast-interface lo --syncid 7
t -a -t 10.0.0.1:http -r [2001:db8::3]:53 -g -x 10 -x 10
t -E -t 200.1.1.1:21
t -D -t 10.0.0.1:80
t -a -t 10.0.0.3 -r [2001:db8::3]:53
t -Sn
t -Sn
t -L -n -f 4000000000 --stats --tun-info
t -a -t 10.0.0.1:80 -r 10.0.1.2 -w x
t -L -n
t --set 5 120 9
t -A -t 10.0.0.2:80 -b flag-1,flag-3
t -E -t [2001:db8::1]:80
t -E -t 200.1.1.1:21
t -a -u 10.0.0.1:53 -r 10.0.1.3:8080
t --set 0 7 300
t -L -n
t -a -t 10.0.0.2:80 -r 10.0.1.3:8080 -i
t -e --sctp-service 10.0.0.1:80 -r 200.0.0.9 -y 3 -i
t -a -t [2001:db8::1]:80 -r 10.0.1.1:http
t -L -n --daemon
t -L -n --timeout --tun-info
t -E -f 1 -s sh
t -E -t 10.0.0.2:80 -s wrr
t -A -u 10.0.0.1:53 -p100
t -Sn
t --start-daemon master --mcast-interface lo
t -L -n -u [2001:db8::1]:53 --rate
t -D --sctp-service 10.0.0.1:80
t -L -n -f 1
t --start-daemon backup
t -A -t 200.1.1.1:21 -M 255.255.255.0 -p100
t -E -u 10.0.0.1:53 -p -s rr
t -A -u 10.0.0.1:53
t -A -t [2001:db8::1]:80 -p100 -s mh
t -L -n -t 200.1.1.1:21 --stats
t -L -n --daemon --daemon
t -a -t 10.0.0.1:http -r 10.0.1.4:0 -i
t -L -n
t -C
t -a -t 10.0.0.1:80 -r [2001:db8::2] -y 3
t -E -t [2001:db8::1]:80 -M 64
t -a -f 4000000000 -r [2001:db8::2]:80 --tun-type gue --tun-port 5
t -D -u [2001:db8::1]:53
t -A -u 10.0.0.1:53
t -d -t 10.0.0.3 -r 200.0.0.9
t --set 0 7 300
t -A -f 1 -n -p 0 -M 64
t -e -f 1 -6 -r 10.0.1.1 -i -i --tun-type gre -g
t -a -f 1 -r [2001:db8::2] -w 0 -w 5 -s rr
t -a -t 10.0.0.3 -r 10.0.1.2 -i
t -A -t 200.1.1.1:21
t -a -t [2001:db8::1]:80 -r 0.0.0.0 --tun-csum
t -d -f 1 -6 -r 10.0.1.1:http
t -A -u 10.0.0.1:53 -s mh -s nosuch
t -d -t 200.1.1.1:21 -r 10.0.1.3:8080
t -A -f 1
t -Sn
t -e -t 10.0.0.1:443 -r 10.0.1.2
t -A -t 10.0.0.1:443 -b flag-1,flag-3
t --stop-daemon backup
t -A -t 10.0.0.2:80
t -Sn
t -a -u [2001:db8::1]:53 -r 10.0.1.1:http -m --tun-csum
t -a -t 200.1.1.1:21 -r [2001:db8::3]:53
t -d --sctp-service 10.0.0.1:80 -r [2001:db8::2]
t -A -u [2001:db8::1]:53
t -a -t 10.0.0.3 -r 200.0.0.9
t -e -t 10.0.0.2:80 -r [2001:db8::2] -s rr
t -a -t 10.0.0.1:443 -r 0.0.0.0 -g -w 0 -s rr
t -E -t [2001:db8::1]:80 -p 0 --pe sip
t -e -f 4000000000 -r 10.0.1.3:8080 --tun-csum -i
t -L -n --persistent-conn --sort
t -L -n --persistent-conn --rate
t -A -f 1 -6 -b flag-1,flag-3 -o
t -a -u [2001:db8::1]:53 -r [2001:db8::2]:80 -m
t -a -t 200.1.1.1:21 -r 10.0.1.3:8080
t -L -n --daemon --daemon
t -A -t [2001:db8::1]:80
t -L -n --sort
t -A -t 10.0.0.1:80 --pe sip
t -a --sctp-service 10.0.0.1:80 -r [2001:db8::3]:53
t -A -f 4000000000
t -a -f 1 -r 10.0.1.3:8080 -g -w 0 -s rr
t -d -t 200.1.1.1:21 -r 10.0.1.1:http
t -e -t 10.0.0.3 -r 10.0.1.1
t -A -f 1 -6
t -A -f 1
t -e -u 10.0.0.1:53 -r [2001:db8::3]:53 -g -w 0
t -a -u [2001:db8::1]:53 -r 10.0.1.1 -s rr -m --tun-csum
t -d -u 10.0.0.1:53 -r 10.0.1.1:http
t -L -n --rate --timeout
t -a --sctp-service 10.0.0.1:80 -r 0.0.0.0 -s rr
t -a -f 1 -6 -r 10.0.1.1:http -m
t -e -f 4000000000 -r [2001:db8::3]:53 -y 3 -w x
t -a -t 10.0.0.1:80 -r [2001:db8::3]:53
t -a --sctp-service 10.0.0.1:80 -r 10.0.1.1:http -w x -i --tun-type gre -w 5
t --set 900 7 0
t -a -f 1 -6 -r 10.0.1.4:0 -w x -m
t -E -t 10.0.0.1:443 -p 0 -M 64
t -d -t 10.0.0.2:80 -r 10.0.1.2
t -L -n --exact --daemon
t -a -t 10.0.0.1:http -r 10.0.1.3:8080
t -d -f 1 -r 0.0.0.0
t -A -t 10.0.0.1:443
t -E -u 10.0.0.1:53
t -L -n --sctp-service 10.0.0.1:80 --stats
t -a -t 200.1.1.1:21 -r [2001:db8::2]:80
t -a -t 10.0.0.1:443 -r 200.0.0.9 -y 3
t -a -u [2001:db8::1]:53 -r 0.0.0.0
t -A -t 10.0.0.1:80 -o
t -a -f 1 -6 -r 10.0.1.3:8080 -i
t -A -t 200.1.1.1:21
t -A -u [2001:db8::1]:53 -s rr
t -A -t 200.1.1.1:21 -p 60 -p 0
t -A -t 10.0.0.1:80 -s mh -M 64 -o
t -L -n -c
t -D -u 10.0.0.1:53
t -a -t 10.0.0.1:http -r 200.0.0.9 -m
t -A -t [2001:db8::1]:80
t -D -t 10.0.0.2:80
t -a -t 200.1.1.1:21 -r 10.0.1.4:0 --tun-type gue --tun-port 5 -w 0
t -Sn
t -a -t 10.0.0.3 -r [2001:db8::2]
t -e -t 10.0.0.2:80 -r [2001:db8::2]:80
t -d -t [2001:db8::1]:80 -r 10.0.1.3:8080
t -d -t 10.0.0.1:443 -r 200.0.0.9
t -L -n --daemon
t -A -t 10.0.0.1:80
t -e -t [2001:db8::1]:80 -r [2001:db8::2] -w x
t -Sn
t -A -t [2001:db8::1]:80
t -a -t [2001:db8::1]:80 -r [2001:db8::2]
t -A -u 10.0.0.1:53
t -e -t 10.0.0.1:http -r 0.0.0.0 -m
t -L -n --stats
t -A -f 4000000000 --pe sip -o -n
t -C
t -E -f 4000000000 -p100 -p -p
t -A -f 1
t -d -f 4000000000 -r [2001:db8::2]:80
t -C
t -Sn
t -a -f 1 -6 -r [2001:db8::2]
t -L -n --sctp-service 10.0.0.1:80 --thresholds
t -A --sctp-service 10.0.0.1:80 -s wrr -b mh-fallback -p
t -a --sctp-service 10.0.0.1:80 -r 10.0.1.1 -x 10 -s rr
t -a -f 1 -6 -r [2001:db8::2]:80
t -A -u 10.0.0.1:53 -p 0 -s nosuch
t -A -f 1
t -D --sctp-service 10.0.0.1:80
t -Z -t 10.0.0.1:http
t --stop-daemon master
t -Sn
t -A -t [2001:db8::1]:80
t -A -t 200.1.1.1:21 -b mh-fallback -s wrr -o
t -a -u [2001:db8::1]:53 -r 10.0.1.4:0 -m -g -x 10
t --start-daemon master
t -a -t 200.1.1.1:21 -r 10.0.1.1
t -a -f 4000000000 -r 10.0.1.3:8080
t -a -t [2001:db8::1]:80 -r 200.0.0.9 -m
t -L -n --sort --persistent-conn
t -a -t 10.0.0.1:443 -r [2001:db8::2]
t -a -t 10.0.0.1:443 -r 10.0.1.4:0 -w 0
t -a --sctp-service 10.0.0.1:80 -r 10.0.1.4:0
t -A --sctp-service 10.0.0.1:80 -s wrr -o -p
t -a -f 1 -r 10.0.1.4:0 -w x
t -C
t -A -u [2001:db8::1]:53
t -A -f 4000000000
t -E -f 1
t -e -t 10.0.0.1:http -r [2001:db8::2]:80 -x 10
t -E -t 10.0.0.3 -p -n -p 60
t -E -f 1
t -A -t [2001:db8::1]:80 -M 255.255.255.0
t -e -f 4000000000 -r 10.0.1.3:8080 -w 0 -y 3 -w x
t -e -t 10.0.0.3 -r 10.0.1.4:0 -m
t -a -u 10.0.0.1:53 -r [2001:db8::3]:53
t --start-daemon master --mcast-interface lo --syncid 7
t -Sn
t -a -f 1 -r [2001:db8::3]:53 -s rr
t -L -n -t 10.0.0.3
t -a --sctp-service 10.0.0.1:80 -r 10.0.1.4:0 -m
t -A -f 4000000000 -s nosuch -s wrr
t -A -f 1 -n
t -E -u 10.0.0.1:53 -M 255.255.255.0 -o
t -Z -t 10.0.0.3
t -A -t 10.0.0.2:80 -b mh-fallback
t -a -f 1 -r [2001:db8::2] -i
t -A -u [2001:db8::1]:53 -p 60
t -A -t 10.0.0.1:80 -n -s rr -M 64
t -d -t 10.0.0.1:443 -r 10.0.1.4:0
t -e -u [2001:db8::1]:53 -r 10.0.1.2 -i
t -C
t -a -t 10.0.0.1:http -r 10.0.1.1:http
t -a -t 10.0.0.1:80 -r 200.0.0.9 -w 5
t -a -t 200.1.1.1:21 -r [2001:db8::2]:80
t -A -f 1
t -E -u 10.0.0.1:53 -p 0
t -E -t 200.1.1.1:21 -b flag-1,flag-3
t -Sn
t -E -t [2001:db8::1]:80 -M 64 -s rr -b sh-port
t -A -t 10.0.0.1:443 -M 255.255.255.0
t -A -f 1 -6 -M 64 -n
t -D -t [2001:db8::1]:80
t -A -t 10.0.0.1:80 -o
t -L -n --sctp-service 10.0.0.1:80 --thresholds
t -Sn
t -L -n -t 10.0.0.3 --persistent-conn
t -e -u [2001:db8::1]:53 -r 10.0.1.1 --tun-csum -i
t --start-daemon backup
t -a -t [2001:db8::1]:80 -r 10.0.1.2 -x 10
t -a -f 1 -r 10.0.1.1
t -D -t [2001:db8::1]:80
t -a -u [2001:db8::1]:53 -r 200.0.0.9
t -A -t 10.0.0.2:80 -p 0
t -a -t 10.0.0.2:80 -r 10.0.1.4:0 -m -y 3
t -L -n
t -a -f 1 -6 -r [2001:db8::2]
t -e -f 4000000000 -r [2001:db8::3]:53 -w 5
t -A -t 10.0.0.1:80 -p 60
t -D -t 10.0.0.3
t -A -t 10.0.0.2:80
t -A --sctp-service 10.0.0.1:80 -n -M 64 --pe sip
t -a -u [2001:db8::1]:53 -r [2001:db8::2] -i
t -d -u [2001:db8::1]:53 -r [2001:db8::3]:53
t -D -f 4000000000
t -Z
t -Sn
t -L -n -t [2001:db8::1]:80
t -Sn
t -E -t 10.0.0.3 -s wrr
t -A -f 1 -s wrr
t -a -f 1 -r [2001:db8::2] -s rr --tun-csum -w x
t -a -t 10.0.0.3 -r [2001:db8::2]:80 --tun-csum
t -D -u 10.0.0.1:53
t -a -t 10.0.0.1:http -r 10.0.1.4:0 -g -i --tun-type gre
t -L -n --thresholds --sort
t --set 900 0 0
t -A --sctp-service 10.0.0.1:80 -M 64 -p 0 -p
t -L -n --sort
t -D -t 10.0.0.1:http
t -L -n
t -a -t [2001:db8::1]:80 -r 10.0.1.1:http --tun-type gue --tun-port 5
t -d -f 1 -r 10.0.1.3:8080
t -A -t 200.1.1.1:21
t -L -n -t 10.0.0.2:80 --thresholds
t -Z
t -a -t 10.0.0.1:80 -r [2001:db8::2] -g
t -a -t [2001:db8::1]:80 -r 200.0.0.9 -w 0 -i -w x
t -Z
t -L -n --persistent-conn
t -E -t 10.0.0.1:http
t -a -t 10.0.0.1:443 -r [2001:db8::2] -x 10
t -a -u 10.0.0.1:53 -r [2001:db8::3]:53
t -a --sctp-service 10.0.0.1:80 -r 10.0.1.3:8080 --tun-type gue --tun-port 5
t -a -u [2001:db8::1]:53 -r 10.0.1.4:0
t -E -u [2001:db8::1]:53 -M 255.255.255.0 -s wrr
t -A -t 10.0.0.1:80 -s sh
t -A -u [2001:db8::1]:53 -s nosuch
t -L -n
t -L -n --timeout
t -A -u [2001:db8::1]:53 -b sh-port -s wrr
t -A --sctp-service 10.0.0.1:80 -M 255.255.255.0 -M 255.255.255.0 -p 60
t -L -n
t -L -n --sort
t -Sn
t -Z
t -L -n --rate --rate
t -a -t 10.0.0.1:80 -r [2001:db8::2] -m
t -E -t 10.0.0.1:80
t -A -u [2001:db8::1]:53
t --stop-daemon master
t -E -t [2001:db8::1]:80 -s mh -n
t -a -t 200.1.1.1:21 -r 10.0.1.1:http -i --tun-type gre
t -A --sctp-service 10.0.0.1:80
t -a -f 1 -r [2001:db8::3]:53 --tun-type gue --tun-port 5 -w 0
t -Sn
$IPVSADM --set 900 120 300
$IPVSADM --stop-daemon master 2>/dev/null
$IPVSADM --stop-daemon backup 2>/dev/null
