. "$(dirname "$0")/lib.sh"
t -A -t 10.0.0.1:80 -n
t -A -t 10.0.0.1:80 -c
t -A -t 10.0.0.1:80 -s rr
t -A -t 10.0.0.1:80 -p 60
t -A -t 10.0.0.1:80 -M 255.255.255.0
t -A -t 10.0.0.1:80 -r 10.0.1.1
t -A -t 10.0.0.1:80 -m
t -A -t 10.0.0.1:80 -w 3
t -A -t 10.0.0.1:80 -x 5
t -A -t 10.0.0.1:80 -y 0
t -A -t 10.0.0.1:80 --mcast-interface lo
t -A -t 10.0.0.1:80 --timeout
t -A -t 10.0.0.1:80 --daemon
t -A -t 10.0.0.1:80 --stats
t -A -t 10.0.0.1:80 --rate
t -A -t 10.0.0.1:80 --thresholds
t -A -t 10.0.0.1:80 --persistent-conn
t -A -t 10.0.0.1:80 --nosort
t -A -t 10.0.0.1:80 --sort
t -A -t 10.0.0.1:80 --syncid 3
t -A -t 10.0.0.1:80 -X
t -A -t 10.0.0.1:80 -o
t -A -t 10.0.0.1:80 --pe sip
t -A -t 10.0.0.1:80 -b flag-1
t -A -t 10.0.0.1:80 --mcast-group 224.0.0.82
t -A -t 10.0.0.1:80 --mcast-port 9000
t -A -t 10.0.0.1:80 --mcast-ttl 5
t -A -t 10.0.0.1:80 --sync-maxlen 1400
t -A -t 10.0.0.1:80 --tun-info
t -A -t 10.0.0.1:80 --tun-type gue
t -A -t 10.0.0.1:80 --tun-port 6080
t -A -t 10.0.0.1:80 --tun-nocsum
t -A -t 10.0.0.1:80 --tun-csum
t -A -t 10.0.0.1:80 --tun-remcsum
t -A -t 10.0.0.1:80 -6
$IPVSADM -C
t -E -t 10.0.0.1:80 -n
t -E -t 10.0.0.1:80 -c
t -E -t 10.0.0.1:80 -s rr
t -E -t 10.0.0.1:80 -p 60
t -E -t 10.0.0.1:80 -M 255.255.255.0
t -E -t 10.0.0.1:80 -r 10.0.1.1
t -E -t 10.0.0.1:80 -m
t -E -t 10.0.0.1:80 -w 3
t -E -t 10.0.0.1:80 -x 5
t -E -t 10.0.0.1:80 -y 0
t -E -t 10.0.0.1:80 --mcast-interface lo
t -E -t 10.0.0.1:80 --timeout
t -E -t 10.0.0.1:80 --daemon
t -E -t 10.0.0.1:80 --stats
t -E -t 10.0.0.1:80 --rate
t -E -t 10.0.0.1:80 --thresholds
t -E -t 10.0.0.1:80 --persistent-conn
t -E -t 10.0.0.1:80 --nosort
t -E -t 10.0.0.1:80 --sort
t -E -t 10.0.0.1:80 --syncid 3
t -E -t 10.0.0.1:80 -X
t -E -t 10.0.0.1:80 -o
t -E -t 10.0.0.1:80 --pe sip
t -E -t 10.0.0.1:80 -b flag-1
t -E -t 10.0.0.1:80 --mcast-group 224.0.0.82
t -E -t 10.0.0.1:80 --mcast-port 9000
t -E -t 10.0.0.1:80 --mcast-ttl 5
t -E -t 10.0.0.1:80 --sync-maxlen 1400
t -E -t 10.0.0.1:80 --tun-info
t -E -t 10.0.0.1:80 --tun-type gue
t -E -t 10.0.0.1:80 --tun-port 6080
t -E -t 10.0.0.1:80 --tun-nocsum
t -E -t 10.0.0.1:80 --tun-csum
t -E -t 10.0.0.1:80 --tun-remcsum
t -E -t 10.0.0.1:80 -6
$IPVSADM -C
t -D -t 10.0.0.1:80 -n
t -D -t 10.0.0.1:80 -c
t -D -t 10.0.0.1:80 -s rr
t -D -t 10.0.0.1:80 -p 60
t -D -t 10.0.0.1:80 -M 255.255.255.0
t -D -t 10.0.0.1:80 -r 10.0.1.1
t -D -t 10.0.0.1:80 -m
t -D -t 10.0.0.1:80 -w 3
t -D -t 10.0.0.1:80 -x 5
t -D -t 10.0.0.1:80 -y 0
t -D -t 10.0.0.1:80 --mcast-interface lo
t -D -t 10.0.0.1:80 --timeout
t -D -t 10.0.0.1:80 --daemon
t -D -t 10.0.0.1:80 --stats
t -D -t 10.0.0.1:80 --rate
t -D -t 10.0.0.1:80 --thresholds
t -D -t 10.0.0.1:80 --persistent-conn
t -D -t 10.0.0.1:80 --nosort
t -D -t 10.0.0.1:80 --sort
t -D -t 10.0.0.1:80 --syncid 3
t -D -t 10.0.0.1:80 -X
t -D -t 10.0.0.1:80 -o
t -D -t 10.0.0.1:80 --pe sip
t -D -t 10.0.0.1:80 -b flag-1
t -D -t 10.0.0.1:80 --mcast-group 224.0.0.82
t -D -t 10.0.0.1:80 --mcast-port 9000
t -D -t 10.0.0.1:80 --mcast-ttl 5
t -D -t 10.0.0.1:80 --sync-maxlen 1400
t -D -t 10.0.0.1:80 --tun-info
t -D -t 10.0.0.1:80 --tun-type gue
t -D -t 10.0.0.1:80 --tun-port 6080
t -D -t 10.0.0.1:80 --tun-nocsum
t -D -t 10.0.0.1:80 --tun-csum
t -D -t 10.0.0.1:80 --tun-remcsum
t -D -t 10.0.0.1:80 -6
$IPVSADM -C
t -C -n
t -C -c
t -C -t 10.0.0.1:80
t -C -s rr
t -C -p 60
t -C -M 255.255.255.0
t -C -r 10.0.1.1
t -C -m
t -C -w 3
t -C -x 5
t -C -y 0
t -C --mcast-interface lo
t -C --timeout
t -C --daemon
t -C --stats
t -C --rate
t -C --thresholds
t -C --persistent-conn
t -C --nosort
t -C --sort
t -C --syncid 3
t -C -X
t -C -o
t -C --pe sip
t -C -b flag-1
t -C --mcast-group 224.0.0.82
t -C --mcast-port 9000
t -C --mcast-ttl 5
t -C --sync-maxlen 1400
t -C --tun-info
t -C --tun-type gue
t -C --tun-port 6080
t -C --tun-nocsum
t -C --tun-csum
t -C --tun-remcsum
t -C -6
$IPVSADM -C
t -L -n
t -L -c
t -L -t 10.0.0.1:80
t -L -s rr
t -L -p 60
t -L -M 255.255.255.0
t -L -r 10.0.1.1
t -L -m
t -L -w 3
t -L -x 5
t -L -y 0
t -L --mcast-interface lo
t -L --timeout
t -L --daemon
t -L --stats
t -L --rate
t -L --thresholds
t -L --persistent-conn
t -L --nosort
t -L --sort
t -L --syncid 3
t -L -X
t -L -o
t -L --pe sip
t -L -b flag-1
t -L --mcast-group 224.0.0.82
t -L --mcast-port 9000
t -L --mcast-ttl 5
t -L --sync-maxlen 1400
t -L --tun-info
t -L --tun-type gue
t -L --tun-port 6080
t -L --tun-nocsum
t -L --tun-csum
t -L --tun-remcsum
t -L -6
$IPVSADM -C
t -a -t 10.0.0.1:80 -r 10.0.1.1 -n
t -a -t 10.0.0.1:80 -r 10.0.1.1 -c
t -a -t 10.0.0.1:80 -r 10.0.1.1 -s rr
t -a -t 10.0.0.1:80 -r 10.0.1.1 -p 60
t -a -t 10.0.0.1:80 -r 10.0.1.1 -M 255.255.255.0
t -a -t 10.0.0.1:80 -r 10.0.1.1 -m
t -a -t 10.0.0.1:80 -r 10.0.1.1 -w 3
t -a -t 10.0.0.1:80 -r 10.0.1.1 -x 5
t -a -t 10.0.0.1:80 -r 10.0.1.1 -y 0
t -a -t 10.0.0.1:80 -r 10.0.1.1 --mcast-interface lo
t -a -t 10.0.0.1:80 -r 10.0.1.1 --timeout
t -a -t 10.0.0.1:80 -r 10.0.1.1 --daemon
t -a -t 10.0.0.1:80 -r 10.0.1.1 --stats
t -a -t 10.0.0.1:80 -r 10.0.1.1 --rate
t -a -t 10.0.0.1:80 -r 10.0.1.1 --thresholds
t -a -t 10.0.0.1:80 -r 10.0.1.1 --persistent-conn
t -a -t 10.0.0.1:80 -r 10.0.1.1 --nosort
t -a -t 10.0.0.1:80 -r 10.0.1.1 --sort
t -a -t 10.0.0.1:80 -r 10.0.1.1 --syncid 3
t -a -t 10.0.0.1:80 -r 10.0.1.1 -X
t -a -t 10.0.0.1:80 -r 10.0.1.1 -o
t -a -t 10.0.0.1:80 -r 10.0.1.1 --pe sip
t -a -t 10.0.0.1:80 -r 10.0.1.1 -b flag-1
t -a -t 10.0.0.1:80 -r 10.0.1.1 --mcast-group 224.0.0.82
t -a -t 10.0.0.1:80 -r 10.0.1.1 --mcast-port 9000
t -a -t 10.0.0.1:80 -r 10.0.1.1 --mcast-ttl 5
t -a -t 10.0.0.1:80 -r 10.0.1.1 --sync-maxlen 1400
t -a -t 10.0.0.1:80 -r 10.0.1.1 --tun-info
t -a -t 10.0.0.1:80 -r 10.0.1.1 --tun-type gue
t -a -t 10.0.0.1:80 -r 10.0.1.1 --tun-port 6080
t -a -t 10.0.0.1:80 -r 10.0.1.1 --tun-nocsum
t -a -t 10.0.0.1:80 -r 10.0.1.1 --tun-csum
t -a -t 10.0.0.1:80 -r 10.0.1.1 --tun-remcsum
t -a -t 10.0.0.1:80 -r 10.0.1.1 -6
$IPVSADM -C
t -d -t 10.0.0.1:80 -r 10.0.1.1 -n
t -d -t 10.0.0.1:80 -r 10.0.1.1 -c
t -d -t 10.0.0.1:80 -r 10.0.1.1 -s rr
t -d -t 10.0.0.1:80 -r 10.0.1.1 -p 60
t -d -t 10.0.0.1:80 -r 10.0.1.1 -M 255.255.255.0
t -d -t 10.0.0.1:80 -r 10.0.1.1 -m
t -d -t 10.0.0.1:80 -r 10.0.1.1 -w 3
t -d -t 10.0.0.1:80 -r 10.0.1.1 -x 5
t -d -t 10.0.0.1:80 -r 10.0.1.1 -y 0
t -d -t 10.0.0.1:80 -r 10.0.1.1 --mcast-interface lo
t -d -t 10.0.0.1:80 -r 10.0.1.1 --timeout
t -d -t 10.0.0.1:80 -r 10.0.1.1 --daemon
t -d -t 10.0.0.1:80 -r 10.0.1.1 --stats
t -d -t 10.0.0.1:80 -r 10.0.1.1 --rate
t -d -t 10.0.0.1:80 -r 10.0.1.1 --thresholds
t -d -t 10.0.0.1:80 -r 10.0.1.1 --persistent-conn
t -d -t 10.0.0.1:80 -r 10.0.1.1 --nosort
t -d -t 10.0.0.1:80 -r 10.0.1.1 --sort
t -d -t 10.0.0.1:80 -r 10.0.1.1 --syncid 3
t -d -t 10.0.0.1:80 -r 10.0.1.1 -X
t -d -t 10.0.0.1:80 -r 10.0.1.1 -o
t -d -t 10.0.0.1:80 -r 10.0.1.1 --pe sip
t -d -t 10.0.0.1:80 -r 10.0.1.1 -b flag-1
t -d -t 10.0.0.1:80 -r 10.0.1.1 --mcast-group 224.0.0.82
t -d -t 10.0.0.1:80 -r 10.0.1.1 --mcast-port 9000
t -d -t 10.0.0.1:80 -r 10.0.1.1 --mcast-ttl 5
t -d -t 10.0.0.1:80 -r 10.0.1.1 --sync-maxlen 1400
t -d -t 10.0.0.1:80 -r 10.0.1.1 --tun-info
t -d -t 10.0.0.1:80 -r 10.0.1.1 --tun-type gue
t -d -t 10.0.0.1:80 -r 10.0.1.1 --tun-port 6080
t -d -t 10.0.0.1:80 -r 10.0.1.1 --tun-nocsum
t -d -t 10.0.0.1:80 -r 10.0.1.1 --tun-csum
t -d -t 10.0.0.1:80 -r 10.0.1.1 --tun-remcsum
t -d -t 10.0.0.1:80 -r 10.0.1.1 -6
$IPVSADM -C
t -e -t 10.0.0.1:80 -r 10.0.1.1 -n
t -e -t 10.0.0.1:80 -r 10.0.1.1 -c
t -e -t 10.0.0.1:80 -r 10.0.1.1 -s rr
t -e -t 10.0.0.1:80 -r 10.0.1.1 -p 60
t -e -t 10.0.0.1:80 -r 10.0.1.1 -M 255.255.255.0
t -e -t 10.0.0.1:80 -r 10.0.1.1 -m
t -e -t 10.0.0.1:80 -r 10.0.1.1 -w 3
t -e -t 10.0.0.1:80 -r 10.0.1.1 -x 5
t -e -t 10.0.0.1:80 -r 10.0.1.1 -y 0
t -e -t 10.0.0.1:80 -r 10.0.1.1 --mcast-interface lo
t -e -t 10.0.0.1:80 -r 10.0.1.1 --timeout
t -e -t 10.0.0.1:80 -r 10.0.1.1 --daemon
t -e -t 10.0.0.1:80 -r 10.0.1.1 --stats
t -e -t 10.0.0.1:80 -r 10.0.1.1 --rate
t -e -t 10.0.0.1:80 -r 10.0.1.1 --thresholds
t -e -t 10.0.0.1:80 -r 10.0.1.1 --persistent-conn
t -e -t 10.0.0.1:80 -r 10.0.1.1 --nosort
t -e -t 10.0.0.1:80 -r 10.0.1.1 --sort
t -e -t 10.0.0.1:80 -r 10.0.1.1 --syncid 3
t -e -t 10.0.0.1:80 -r 10.0.1.1 -X
t -e -t 10.0.0.1:80 -r 10.0.1.1 -o
t -e -t 10.0.0.1:80 -r 10.0.1.1 --pe sip
t -e -t 10.0.0.1:80 -r 10.0.1.1 -b flag-1
t -e -t 10.0.0.1:80 -r 10.0.1.1 --mcast-group 224.0.0.82
t -e -t 10.0.0.1:80 -r 10.0.1.1 --mcast-port 9000
t -e -t 10.0.0.1:80 -r 10.0.1.1 --mcast-ttl 5
t -e -t 10.0.0.1:80 -r 10.0.1.1 --sync-maxlen 1400
t -e -t 10.0.0.1:80 -r 10.0.1.1 --tun-info
t -e -t 10.0.0.1:80 -r 10.0.1.1 --tun-type gue
t -e -t 10.0.0.1:80 -r 10.0.1.1 --tun-port 6080
t -e -t 10.0.0.1:80 -r 10.0.1.1 --tun-nocsum
t -e -t 10.0.0.1:80 -r 10.0.1.1 --tun-csum
t -e -t 10.0.0.1:80 -r 10.0.1.1 --tun-remcsum
t -e -t 10.0.0.1:80 -r 10.0.1.1 -6
$IPVSADM -C
t --set 1 2 3 -n
t --set 1 2 3 -c
t --set 1 2 3 -t 10.0.0.1:80
t --set 1 2 3 -s rr
t --set 1 2 3 -p 60
t --set 1 2 3 -M 255.255.255.0
t --set 1 2 3 -r 10.0.1.1
t --set 1 2 3 -m
t --set 1 2 3 -w 3
t --set 1 2 3 -x 5
t --set 1 2 3 -y 0
t --set 1 2 3 --mcast-interface lo
t --set 1 2 3 --timeout
t --set 1 2 3 --daemon
t --set 1 2 3 --stats
t --set 1 2 3 --rate
t --set 1 2 3 --thresholds
t --set 1 2 3 --persistent-conn
t --set 1 2 3 --nosort
t --set 1 2 3 --sort
t --set 1 2 3 --syncid 3
t --set 1 2 3 -X
t --set 1 2 3 -o
t --set 1 2 3 --pe sip
t --set 1 2 3 -b flag-1
t --set 1 2 3 --mcast-group 224.0.0.82
t --set 1 2 3 --mcast-port 9000
t --set 1 2 3 --mcast-ttl 5
t --set 1 2 3 --sync-maxlen 1400
t --set 1 2 3 --tun-info
t --set 1 2 3 --tun-type gue
t --set 1 2 3 --tun-port 6080
t --set 1 2 3 --tun-nocsum
t --set 1 2 3 --tun-csum
t --set 1 2 3 --tun-remcsum
t --set 1 2 3 -6
$IPVSADM -C
t --start-daemon master --mcast-interface lo -n
t --start-daemon master --mcast-interface lo -c
t --start-daemon master --mcast-interface lo -t 10.0.0.1:80
t --start-daemon master --mcast-interface lo -s rr
t --start-daemon master --mcast-interface lo -p 60
t --start-daemon master --mcast-interface lo -M 255.255.255.0
t --start-daemon master --mcast-interface lo -r 10.0.1.1
t --start-daemon master --mcast-interface lo -w 3
t --start-daemon master --mcast-interface lo -x 5
t --start-daemon master --mcast-interface lo -y 0
t --start-daemon master --mcast-interface lo --timeout
t --start-daemon master --mcast-interface lo --daemon
t --start-daemon master --mcast-interface lo --stats
t --start-daemon master --mcast-interface lo --rate
t --start-daemon master --mcast-interface lo --thresholds
t --start-daemon master --mcast-interface lo --persistent-conn
t --start-daemon master --mcast-interface lo --nosort
t --start-daemon master --mcast-interface lo --sort
t --start-daemon master --mcast-interface lo --syncid 3
t --start-daemon master --mcast-interface lo -X
t --start-daemon master --mcast-interface lo -o
t --start-daemon master --mcast-interface lo --pe sip
t --start-daemon master --mcast-interface lo -b flag-1
t --start-daemon master --mcast-interface lo --mcast-group 224.0.0.82
t --start-daemon master --mcast-interface lo --mcast-port 9000
t --start-daemon master --mcast-interface lo --mcast-ttl 5
t --start-daemon master --mcast-interface lo --sync-maxlen 1400
t --start-daemon master --mcast-interface lo --tun-info
t --start-daemon master --mcast-interface lo --tun-type gue
t --start-daemon master --mcast-interface lo --tun-port 6080
t --start-daemon master --mcast-interface lo --tun-nocsum
t --start-daemon master --mcast-interface lo --tun-csum
t --start-daemon master --mcast-interface lo --tun-remcsum
t --start-daemon master --mcast-interface lo -6
$IPVSADM -C
$IPVSADM --stop-daemon master
t --stop-daemon master -n
t --stop-daemon master -c
t --stop-daemon master -t 10.0.0.1:80
t --stop-daemon master -s rr
t --stop-daemon master -p 60
t --stop-daemon master -M 255.255.255.0
t --stop-daemon master -r 10.0.1.1
t --stop-daemon master -m
t --stop-daemon master -w 3
t --stop-daemon master -x 5
t --stop-daemon master -y 0
t --stop-daemon master --mcast-interface lo
t --stop-daemon master --timeout
t --stop-daemon master --daemon
t --stop-daemon master --stats
t --stop-daemon master --rate
t --stop-daemon master --thresholds
t --stop-daemon master --persistent-conn
t --stop-daemon master --nosort
t --stop-daemon master --sort
t --stop-daemon master --syncid 3
t --stop-daemon master -X
t --stop-daemon master -o
t --stop-daemon master --pe sip
t --stop-daemon master -b flag-1
t --stop-daemon master --mcast-group 224.0.0.82
t --stop-daemon master --mcast-port 9000
t --stop-daemon master --mcast-ttl 5
t --stop-daemon master --sync-maxlen 1400
t --stop-daemon master --tun-info
t --stop-daemon master --tun-type gue
t --stop-daemon master --tun-port 6080
t --stop-daemon master --tun-nocsum
t --stop-daemon master --tun-csum
t --stop-daemon master --tun-remcsum
t --stop-daemon master -6
$IPVSADM -C
t -R -n
t -R -c
t -R -t 10.0.0.1:80
t -R -s rr
t -R -p 60
t -R -M 255.255.255.0
t -R -r 10.0.1.1
t -R -m
t -R -w 3
t -R -x 5
t -R -y 0
t -R --mcast-interface lo
t -R --timeout
t -R --daemon
t -R --stats
t -R --rate
t -R --thresholds
t -R --persistent-conn
t -R --nosort
t -R --sort
t -R --syncid 3
t -R -X
t -R -o
t -R --pe sip
t -R -b flag-1
t -R --mcast-group 224.0.0.82
t -R --mcast-port 9000
t -R --mcast-ttl 5
t -R --sync-maxlen 1400
t -R --tun-info
t -R --tun-type gue
t -R --tun-port 6080
t -R --tun-nocsum
t -R --tun-csum
t -R --tun-remcsum
t -R -6
$IPVSADM -C
t -S -n
t -S -c
t -S -t 10.0.0.1:80
t -S -s rr
t -S -p 60
t -S -M 255.255.255.0
t -S -r 10.0.1.1
t -S -m
t -S -w 3
t -S -x 5
t -S -y 0
t -S --mcast-interface lo
t -S --timeout
t -S --daemon
t -S --stats
t -S --rate
t -S --thresholds
t -S --persistent-conn
t -S --nosort
t -S --sort
t -S --syncid 3
t -S -X
t -S -o
t -S --pe sip
t -S -b flag-1
t -S --mcast-group 224.0.0.82
t -S --mcast-port 9000
t -S --mcast-ttl 5
t -S --sync-maxlen 1400
t -S --tun-info
t -S --tun-type gue
t -S --tun-port 6080
t -S --tun-nocsum
t -S --tun-csum
t -S --tun-remcsum
t -S -6
$IPVSADM -C
t -Z -n
t -Z -c
t -Z -t 10.0.0.1:80
t -Z -s rr
t -Z -p 60
t -Z -M 255.255.255.0
t -Z -r 10.0.1.1
t -Z -m
t -Z -w 3
t -Z -x 5
t -Z -y 0
t -Z --mcast-interface lo
t -Z --timeout
t -Z --daemon
t -Z --stats
t -Z --rate
t -Z --thresholds
t -Z --persistent-conn
t -Z --nosort
t -Z --sort
t -Z --syncid 3
t -Z -X
t -Z -o
t -Z --pe sip
t -Z -b flag-1
t -Z --mcast-group 224.0.0.82
t -Z --mcast-port 9000
t -Z --mcast-ttl 5
t -Z --sync-maxlen 1400
t -Z --tun-info
t -Z --tun-type gue
t -Z --tun-port 6080
t -Z --tun-nocsum
t -Z --tun-csum
t -Z --tun-remcsum
t -Z -6
$IPVSADM -C
$IPVSADM --set 900 120 300
