. "$(dirname "$0")/lib.sh"
t -l -f 5 -y 3
t --tun-type gre -t
t -A -r 10.0.1.1 -p -s sh -y 3 --ops
t -e -r 10.0.1.1 -mw
t -Ln --tun-port 9
t --edit-server 2001:db8::1 -i 224.0.0.81
t --syncid 9 []:1
t --stop-daemon
t -h -i -f 5 -6
t -h
t 
t -nL
t -v -x 9
t --add-service -i 2001:db8::1 -x 9 -i ipip
t -E --syncid 9 master --tun-type gue []:1 128
t -R --syncid 9 :
t -A
t -p= -5
t -Lnc --nosort -y -ng -r 10.0.1.2:8080
t -a
t -D
t -R
t -C -gn --tun-type gue
t --set -w5 --tun-type gre -r 10.0.1.2:8080 -u 10.0.0.1:53 mh
t -a 128 'é'
t -Ln 4294967295 --mcast-interface lo sh 99999999999999999999
t -R --tun-port 9
t -At
t --edit-server -X
t -S -x 9 -p= --tun-port 9
t -Z -t --mcast-interface lo '' -y 3 10.0.1.1
t -C
t -R
t -nL 4294967295 --rate
t --list -y 3
t -g -i -M 255.255.255.0 --sync-maxlen
t -e -in gue
t -Ln -f 5 -b sh-port
t -nL -- --tun-type gre
t --stop-daemon --persistent-conn -r [2001:db8::2]:80 flag-1
t -d -i -f 5 -m -t [2001:db8::1]:80 rr
t -v -y --ops= -i :
t -Ln --tun-remcsum -b sh-port -s rr -g
t -A -p 60
t -Lnc -f 5 -6
t --add-service -i
t -l 4294967295 -o -m
t --start-daemon -in
t --edit-server
t -m [2001:db8::1]:80 --mcast-interface lo -g -y 3
t -a -s --stats -y 3
t -d 10.0.0.1 --ops -r 10.0.1.1
t --set []:1 -6n -x=5 -x -f 5
t -e ' ' 4294967295
t --start-daemon --tun-type backup -y 3
t -Lnc
t -D -gn -i
t -e --syncid 9 sh-port
t -At -w 3 -x=5 -t 10.0.0.1:80 10.0.0.1 -p 60
t -g --sort -y 3 -g -p 60
$IPVSADM -C
t -S --persistent
t -L sip
t -s rr -r [2001:db8::2]:80
t --edit-server -t 10.0.0.1:80 -r10.0.1.9 0
t --list
t -A --persistent-conn [ -s rr sh-port
t -a 224.0.0.81 -w 3 --tun-type gue -c -6
t -v -b sh-port
t --list -w
t -Lnc -in --tun-port 9
t -A -b sh-port -m
t -Ln -=
t --stop-daemon -s rr
t -R -g
t -d -x 9 -g ipip ipip
t -Z
t -t 10.0.0.2:80
t -C 2001:db8::1 -m
t -v -t 10.0.0.1:80 -s sh rr
t -L -r 10.0.1.1 backup
t --start-daemon -
t --list
t -At -1 --persistent --tun-info -i
t --list --syncid 9 -t 10.0.0.2:80 224.0.0.81 --tun-type
t -L
t -Z --weight=3 --mcast-interface lo --syncid 9 -f --tun-type gue
t -At -t 10.0.0.1:80 -M [2001:db8::1]:80 --mcast-interface
t -l -y 3 --
t -t 10.0.0.2:80 -f 5 -6 -w 3
t -At ' '
t -v --persistent-conn
t -S gre
t -R
t -a --tun-type gre --tun-type gue
t --add-service 'é' 128 -M 255.255.255.0 -i -t 10.0.0.2:80
t -At -n
t -D 'é' -o -i -f 5
t -v --tun-port 9 --mcast-interface lo -o6 []:1 -t 10.0.0.2:80
t -A
t -v --tun-port
t -e --weight=3 -f 5
t -E -f 5 -6
t --stop-daemon --pe 1
t -Lnc -t 10.0.0.2:80 -p 60
t --persistent=9
t -nL
t -r 10.0.1.1 sh-port -s sh
t -E
t -A
t -Z
t --start-daemon sh
t --mcast-interface lo
t -d ff02::51 10.0.0.1:80 gue -x 128
t --set sh-port
t -Z -w5
t --stop-daemon --ops --rate -b sh-port --tun-port 9 -Mx
t -d -M 255.255.255.0 -f --tun-type gre -w 3 -r [2001:db8::2]:80
t -u
t -R
t -l -cX lo
$IPVSADM -C
t -S ]: -6n master
t -At --tun-type gre 128 rr
t --stop-daemon --tun-type gre -u 10.0.0.1:53 -m
t --add-service -t10.0.0.9:9
t -E -r 10.0.1.2:8080 -i
t -D --tun-type gue --sort -n -p 60
t -h --sync-maxlen
t lo -f5 -m
t --add-service rr -y
t -1 -f 5 -t 10.0.0.2:80
t --tun-type gre --mcast-interface -w 3 -g --syncid 9
t -R -f 5 -b sh-port
t -Z '' -m ]: --mcast-interface
t -D backup -r 0
t -a -g -w
t --add-service -m -r [2001:db8::2]:80
t -A -f 5
t -e -f
t -e --tun-nocsum
t -h -= -c
t --set -5 -f 5
t -A -p 60 -r 10.0.1.2:8080
t --list -x 9 --tun-type gue 224.0.0.81 -f5
t --set
t -C -p
t -a -t 10.0.0.2:80 -r 10.0.1.2:8080 64 --tun-port 9 -f 5
t -At -
t -nL [
t --add-service
t -a
t --stop-daemon -p 60 0x5
t -nL -u 10.0.0.1:53
t --stop-daemon --tun-type gue 99999999999999999999
t -l -r 10.0.1.2:8080 -u 99999999999999999999 -t -r 10.0.1.1
t -Z -s sh
t -d -t [2001:db8::1]:80 2001:db8::1 -f 5 -6
t -Lnc -b sh-port -M 255.255.255.0 -t 10.0.0.2:80 -w5
t -E
t -C --syncid 9 rr
t -A -n
t --add-service -p 60 sip -w 3
t -R --tun-type gre --
t --edit-server -t 10.0.0.1:80 --persistent=9 --nosort -r 10.0.1.2:8080 --mcast-interface
t --list -f 5 -6n
t --list -o6 -y 3 -r 10.0.1.2:8080 --mcast-interface lo ''
t -Ln
t --stop-daemon -r --syncid 9
t -R --mcast-interface lo -r [2001:db8::2]:80
t -e -s sh -s sh
t --add-service -f=5 -x 9 -r 10.0.1.2:8080
t -v --tun-csum -s
t -d -t 10.0.0.1:80 -f 5 -6 -r 10.0.1.2:8080 -t 10.0.0.1:80 -t [2001:db8::1]:80
t -v -r 10.0.1.1 master 255.255.255.0 --tun-type gre
t --add-service -ng --sync-maxlen
t --stop-daemon -t10.0.0.9:9 --=
t -h -b
t -C gue flag-1 --sort --tun-type gue
t -C -u 10.0.0.1:53 -t [2001:db8::1]:80 -6n
t -l ff02::51
t 
$IPVSADM -C
t -d -g --tun-type gue -x 9
t -S --syncid 9 -r 10.0.1.2:8080 --tun-type gue -p 60
t --set
t -C 1 -f 5 -6
t sh-port -i mh --syncid -r 10.0.1.1
t -D --tun-port 9 --timeout
t -h ' ' --ipip
t -L -i
t --edit-server -w 3 -5 -f 5
t -S -r [2001:db8::2]:80
t -C -s sh -f 5
t --start-daemon --mcast-interface -y -y -y
t --edit-server
t -h -f 5 :
t -E 1e3
t -C -t [2001:db8::1]:80 --thresholds
t 2001:db8::1 --persistent=9 -f 5 -6
t -v --timeout -r 10.0.1.1 --tcp-service=10.0.0.8:8 10.0.1.1 --mcast-group
t -M 255.255.255.0
t -E -t10.0.0.9:9 master -m
t --start-daemon --tun-type gue --mcast-interface lo 1e3 -u 10.0.0.1:53
t -Ln gre --weight=3
t -L -t 10.0.0.2:80 -r [2001:db8::2]:80
t -b sh-port
t --set -t 10.0.0.2:80 --tun-type gue 10.0.0.1:80 --sync-maxlen -r 10.0.1.2:8080
t -a -gn --tun-csum
t -L --persistent-conn -r 10.0.1.1
t -Z -i 2001:db8::1
t --add-service
t --add-service -t 10.0.0.2:80 -r [2001:db8::2]:80 -Mx
t -Lnc -r 10.0.1.2:8080
t -Lnc --daemon --tun-nocsum
t --syncid 9 -w 3 --tun-info
t -a -s
t -At '' --stats
t --stop-daemon -t 10.0.0.2:80 --tun-port 9 -f 5
t -d -5 -f5 -s rr lo --syncid 9
t -L -t 10.0.0.1:80
t -x 9 --nosort sip 'é'
t -e -m -f=5
t -v -p 60
t -Z 10.0.0.1:80 80
t -d
t --add-service -w5 -r 10.0.1.1 -f 5 -6
t -D -t 10.0.0.1:80 -i -f 5 -M 255.255.255.0 sip
t -D --tun-port 9
t -nL 4294967295 -s rr --sort --tun-csum
t --list --sort -m
t -l -M 255.255.255.0 -f 5 []:1
t -l 4294967295 --ops --thresholds
t --add-service 255.255.255.0
t -a [ -f
t --persistent=9
t --edit-server -p 60 -t 10.0.0.1:80 -w -x --list=
t -v -6
t -d -gn --tun-port 9 -s rr
t -l --timeout backup -y --ops=
t -a 1e3
t -Z -b sh-port -y 3
t --add-service
$IPVSADM -C
t -h ]: -g --exact -M 255.255.255.0
t --edit-server 128 -m
t -d --nosort gue -g -w 3 lo
t -A --tun-type gre sh-port -o ff02::51 --timeout
t -v -t 10.0.0.1:80 -t [2001:db8::1]:80
t --add-service -m --mcast-interface lo 99999999999999999999 -n
t -d --tun-port 9
t --add-service master
t -Lnc
t -r 10.0.1.2:8080
t --start-daemon ' ' --syncid 9
t -l -f5
t -w 3 -c '-pé' -w 3 --tun-port 9
t -l -in --mcast-interface lo -p 60 -r 10.0.1.1 -M 255.255.255.0
t -h -in --tun-type
t --list -b sh-port
t -nL --weight= -M -M 255.255.255.0
t --stop-daemon -r 10.0.1.1 -o
t -S sip
t -h --persistent-conn
t --set -w -b sh-port
t -Lnc -r 10.0.1.2:8080 --rate --pe
t -v -f 5 -6 '-pé' -w 3
t --add-service -r [2001:db8::2]:80
t -t [2001:db8::1]:80
t -v -r 10.0.1.1 --mcast-group --sync-maxlen
t -E -t 10.0.0.2:80
t -h 128 -mw --mcast-interface lo
t -Lnc -6 -o -i -t10.0.0.9:9
t -L -i -s rr --mcast-interface lo -c -M 255.255.255.0
t --add-service 255.255.255.0
t -R 10.0.1.1 -c --mcast-interface lo
t -Ln -r -p
t -h -y 3 --tun-remcsum --ops= -mw --nosort
t -C 0x5
t -S --rate -t 10.0.0.1:80 -t 10.0.0.1:80 -6
t --add-service -f -t
t -Z --ipip
t --add-service
t -h -mw --mcast-port --sctp-service 2001:db8::1 -X
t -e mh --list= --mcast-interface --tun-port 9
t -L -y 3
t -D -r 10.0.1.2:8080 255.255.255.0 10.0.0.1 --sctp-service
t --stop-daemon -b
t -Z
t --edit-server gue
t -A
t --start-daemon 'é'
t -a ipip -g --tcp-service=10.0.0.8:8 -w5 7
t --start-daemon -x=5
t --add-service -t 10.0.0.2:80
t -e -b sh-port --thresholds --weight=
t -Z [
t -E -s -s rr -f 5 0
t -h -m
t -Ln --tun-type gre --timeout --tun-type
t -C -M 255.255.255.0
t -C 1e3
t -At -M 255.255.255.0 --syncid 9
t -nL -M 255.255.255.0 -x 9
$IPVSADM -C
t -Ln -m -w5 -r 10.0.1.1
t -nL -i -Mx --tun-csum --tun-type gre -r 10.0.1.1
t --add-service flag-1
t -S --rate
t -C -w 3 -r 10.0.1.2:8080 []:1 --thresholds --ops=
t --add-service --mcast-interface --persistent-conn -y 3
t --set -r 10.0.1.1 -Mx --tun-port 9 -1
t -C -g
t -h -x 9 -f 5 -o 2001:db8::1 --tun-port 9
t 
t -d -g -m -t10.0.0.9:9 --tun-port 9 [
t -a -r 10.0.1.2:8080
t --list -r 10.0.1.2:8080 -i sip -b
t --tun-remcsum
t -nL -t [2001:db8::1]:80
t -l -s rr -r 10.0.1.2:8080
t -nL -r
t -R -t 10.0.0.1:80
t -M 255.255.255.0 --thresholds '-pé' -t10.0.0.9:9 -b sh-port
t -A --syncid 9
t -p -Mx
t -L --ops
t --start-daemon -w 3 -i
t -mw
t --start-daemon -r [2001:db8::2]:80 128 ' ' -w 3
t -h -i -s sh sh-port --mcast-interface lo -t [2001:db8::1]:80
t -C --daemon 10.0.1.1 -f --mcast-interface lo
t -d -p --tun-port -s sh
t -d -r [2001:db8::2]:80 -m -f 5 --tun-port
t -Lnc -r 10.0.1.2:8080 --= --mcast-interface lo -ng -m
t -Ln -w 3 -p 64 -t10.0.0.9:9 -x
t -E -m -X --sort
t --start-daemon 7 -u
t -S -M 255.255.255.0 --persistent --list= -w 3 ''
t -d
t -D
t -At -o6
t -D -t [2001:db8::1]:80 -p --mcast-interface lo -x
t -Z -b sh-port
t -D -m -1
t -L --mcast-group -t [2001:db8::1]:80
t --start-daemon - -s rr
t -v lo 1e3 -cX
t -At -f 5 -6 --tun-port 9 --rate --persistent=9
t --list '-pé'
t 99999999999999999999 --mcast-interface lo
t -d --persistent=9 -g flag-1
t -a - -y 3 -s sh
t --add-service 4294967295 ipip
t -e -y 3 -x 9
t -v 10.0.0.1:80 -M --nosort --tun-type gre sh
t -S --tcp-service=10.0.0.8:8 -1
t -h --syncid 9 --rate -b sh-port
t -v -m -r10.0.1.9
t --edit-server -i -g -n
t -R
t --stop-daemon
t -v -t [2001:db8::1]:80 -w 3
t -h -s sh -b sh-port [2001:db8::1]:80 -f 5 -6
t -v -t 10.0.0.1:80
$IPVSADM -C
t -L --sctp-service --timeout --tun-nocsum
t -v -y 3 -t 10.0.0.2:80
t -v -t [2001:db8::1]:80 -o6 -mw -y 3
t -a -u 10.0.0.1:53 mh
t -d --ops= -w5
t -R rr -p 60 -b sh-port --mcast-interface
t --start-daemon -n -m --weight= -t 10.0.0.1:80 -gn
t -Z --tcp-service=10.0.0.8:8 -g --mcast-interface lo
t -S flag-1 -y rr -t 10.0.0.1:80
t -v ipip [2001:db8::1]:80 -i
t -S -t 10.0.0.1:80 --tun-port 9 master
t -Lnc
t -E
t --ops -c
t --start-daemon --mcast-interface lo -r [2001:db8::2]:80
t -L -M 255.255.255.0
t -v
t -E -t [2001:db8::1]:80 --syncid 9
t --set -p= --stats -n
t -R lo 7 -r 10.0.1.1
t --add-service
t -L --mcast-interface -s sh
t -At -i
t --edit-server --weight= --nosort -s rr -y
t --stop-daemon 224.0.0.81
t -h
t --tun-csum -m 10.0.0.1
t -Ln 1 --pe
t -C -f 5 -w 3
t -l -u sh-port --syncid 9
t -a
t -D -r 10.0.1.1
t -s sh backup
t -S
t -E --ipip --exact --persistent=9 -o6
t -t [2001:db8::1]:80 --pe
t --stop-daemon sh-port
t --edit-server --mcast-ttl -r 10.0.1.2:8080 0x5 -r [2001:db8::2]:80 -m
t --stop-daemon 64 -r 10.0.1.1 -M 255.255.255.0
t --tun-remcsum -r [2001:db8::2]:80 master -f 5 -6 -b sh-port
t -h
t -v --syncid --tun-type gre gue
t -Ln 10.0.0.1:80 -r 10.0.1.2:8080
t -Ln -mw lo
t -nL --nosort
t -Ln --weight=3 -m -1 -f 5 --mcast-interface lo
t -Z -s rr
t -g -b sh-port
t --start-daemon -x=5 --thresholds
t -v --ipip --mcast-group
t -d --tun-type gre
t -L -f=5 -- -f5
t -Ln -r 10.0.1.1 -t [2001:db8::1]:80
t -a --tun-port 9 -p
t -L -ng -M :
t -v -y 3
t -b sh-port
t -a --tun-remcsum --tun-type gue -r 10.0.1.2:8080 --mcast-ttl
t -C master
t -nL -r 10.0.1.1
$IPVSADM -C
t -At -i --mcast-interface lo :
t -Z --mcast-interface lo -m -p
t -R
t --edit-server
t -d -t 10.0.0.1:80
t -i -u 10.0.0.1:53
t -Z -f=5 -p -w 3 'é'
t -e --list= --mcast-interface lo
t -Ln
t -S
t --stop-daemon 224.0.0.81
t -Lnc -b sh-port
t --set -gn [2001:db8::1]:80 -r [2001:db8::2]:80 --persistent -w 3
t -S 0x5 -p 60
t -At --exact --mcast-interface lo sip
t -v --- -r [2001:db8::2]:80
t -E --syncid 9
t -a
t --edit-server - -s rr -y -u 10.0.0.1:53
t -E -cX
t --list -r 10.0.1.1 -mw
t -Ln -f 5 -6 -M 255.255.255.0 []:1 --persistent -f 5
t -Z rr
t -Z -f 5 -6 -b sh-port -r 10.0.1.1 --daemon
t -Z -r 10.0.1.1 sip --tun-type
t -a -r10.0.1.9
t -A -w5
t -h --mcast-ttl -m
t --edit-server -f 5 -6 -s sh --tun-type gre -m
t -u -w -t [2001:db8::1]:80 99999999999999999999 -p
t -D --tun-nocsum -w 3
t --stop-daemon -s sh 80 -s sh
t --stop-daemon -w 3
t -h -i -r [2001:db8::2]:80
t -Lnc
t -a -f5 sh-port
t -nL -s rr -s sh -u 10.0.0.1:53 -
t -Lnc
t -v -t10.0.0.9:9 -x 9
t -R -y 3
t -Lnc -r [2001:db8::2]:80 224.0.0.81 []:1 -t [2001:db8::1]:80 -g
t -Lnc 128
t -At -Mx
t --stop-daemon --mcast-interface lo -s sh -p -i -m
t --set
t -R -t 10.0.0.1:80
t -l 80
t 99999999999999999999 -X 255.255.255.0 --daemon
t -C
t -v -b sh-port -r 10.0.1.1 --tun-type gue
t -e
t -nL 10.0.1.1 '' -w5 -f backup
t --edit-server --tun-type gre
t -C -n
t --stop-daemon --stats -r 10.0.1.2:8080 -s sh
t -E -b sh-port --sync-maxlen -r 10.0.1.1 --sync-maxlen
t -h -p 60 -r [2001:db8::2]:80 --persistent -p=
t -E -t [2001:db8::1]:80
t -S -n --tun-type --syncid 9
t gre
$IPVSADM -C
t --sync-maxlen
t master
t --start-daemon : -u 10.0.0.1:53
t --stop-daemon ipip -r 10.0.1.1
t -l -n --mcast-interface
t -d -s sh -r --tun-port 9 --tun-port 9
t -L [
t -Lnc gue -u
t -At -t 10.0.0.2:80
t -e -b sh-port -r 10.0.1.2:8080 -x 9
t --set --syncid 9
t -L --ops
t -At --tun-type gre -t 10.0.0.1:80
t -Lnc -y 3 mh
t -a -r 10.0.1.2:8080
t -C 0 -t [2001:db8::1]:80
t -Lnc 80 -p 60 --syncid 9 128
t -A --nosort --exact
t -Lnc '' -o6
t -e
t -E -y 3 --tun-type gre --mcast-interface lo --mcast-port --timeout
t -E -x 9 --tun-type gre
t -y 3
t --set gue -s sh
t --set ff02::51 -b sh-port
t -l --sctp-service
t -v -n -r 10.0.1.1 -f 5 -6
t --edit-server -r10.0.1.9 ---
t -a --mcast-group
t ]: --syncid --sync-maxlen -f 5 -mw
t -nL
t -a -p 60 -M 255.255.255.0
t -l -p 60 -f=5 -t 10.0.0.1:80
t -a -y 3 -= -6n
t -nL 'é' --sync-maxlen -t 10.0.0.2:80 -x 9 --persistent-conn
t -Ln
t -D -t 10.0.0.2:80 --pe --rate -t 10.0.0.2:80 -t [2001:db8::1]:80
t -l --
t -a -m
t -v rr --sort --ops
t -e --mcast-group -t 10.0.0.2:80
t -D 7 -s rr
t -a -g -t 10.0.0.1:80 99999999999999999999 -cX
t -Z -p --tun-type gre -w 3 gre
t -Ln --tun-type gre -f 5 -6 -w 3
t --stop-daemon -u 10.0.0.1:53
t --start-daemon 64 -r 10.0.1.1 -t [2001:db8::1]:80 --
t --add-service -i
t -a -r [2001:db8::2]:80
t -At -g -M 255.255.255.0 -x 9 --= -c
t -A 99999999999999999999 -t 10.0.0.2:80 --rate 0 -r 10.0.1.1
t --edit-server --syncid 9 gre -s rr -r 10.0.1.2:8080 mh
t -Ln --rate -s rr
t --set flag-1 --tun-type gue
t -v -f 5 -6 -6
t -A -r
t --stop-daemon -t 10.0.0.1:80 -g
t -e '' -t [2001:db8::1]:80
t -S
t --set
$IPVSADM -C
t -d -r 10.0.1.2:8080 --nosort -w 3
t -v --syncid 9 [2001:db8::1]:80
t ' ' -M -f 5 -6 --weight= --tun-port 9
t -v -p 60 -i
t -nL -t --tun-type -r [2001:db8::2]:80
t -L --weight=
t --add-service -M 255.255.255.0
t -E -f 5 -6 -f=5 -i -r 10.0.1.2:8080 -r [2001:db8::2]:80
t 
t -v -s sh -r [2001:db8::2]:80
t -C
t --set --rate
t -e ipip -w 3 224.0.0.81 master
t -A -M 255.255.255.0
t -R [2001:db8::1]:80 -in
t -R -b sh-port
t -R -y
t -S
t -l -c -r 10.0.1.1
t --set --persistent-conn -f 5 -6 --nosort --tun-port
t -h --mcast-port
t -R -y 3 -r 10.0.1.1
t -E -t 10.0.0.1:80 -g --ops=
t -A -t 10.0.0.1:80 -p 60
t -h sh
t --list -r
t -Lnc -g
t --edit-server -t [2001:db8::1]:80
t -S -f 5 master -1 -m --syncid 9
t -At
t -Ln -t 0 --tun-port 9 --tun-type gre
t -d --weight=
t -a
t -Lnc -w 3 224.0.0.81
t -L 7
t -At -r 10.0.1.1 -r --tun-port 9 --persistent-conn -b
t -Z -t 10.0.0.1:80 -r 10.0.1.1 128 lo -x 9
t -A
t --stop-daemon -t [2001:db8::1]:80 -r [2001:db8::2]:80 -i --tun-type gue
t -nL 10.0.0.1 -m -m --mcast-interface -t10.0.0.9:9
t -d -m -M 255.255.255.0
t --edit-server mh -s rr --ops= -x 9
t -R --list= -x 9
t '' -i -M 255.255.255.0 128
t -Z ' ' -s rr
t -l -o6
t -A --tun-port 9 --stats rr -p 60 -u 10.0.0.1:53
t --add-service -f 5 -6
t --stop-daemon
t -R -b sh-port -f -y 3 -x 9 -g
t --edit-server -6 rr
t --stop-daemon
t -h --thresholds --tun-type gue
t -d -m -x 9 -t 10.0.0.1:80 gre -x 9
t -E -y 3 -g lo -f 5 -6
t -S 10.0.0.1:80 99999999999999999999 --tun-port 9 mh
t -h 0 224.0.0.81 10.0.0.1
t --edit-server -p 60
t -v -6n
t -Z --timeout
$IPVSADM -C
t -Z -M 255.255.255.0 64
t -A -s rr -f 5
t -Z
t -At -p= -b sh-port -t10.0.0.9:9
t -d --persistent
t -E
t -s rr
t -h -o -t [2001:db8::1]:80 --stats lo
t -e -x 9 1e3
t --stop-daemon -i --thresholds
t -l 'é' 10.0.0.1:80 -6n -t [2001:db8::1]:80
t --set -6n
t -R ]: -i
t -r10.0.1.9 --
t --list -u 10.0.0.1:53
t -S -o -w 3
t -h -p 60 lo
t -s rr --mcast-ttl --sort
t -D
t -v -i
t -D
t -D :
t --add-service -s sh gue --= -t 10.0.0.1:80
t -D --exact -ng lo -w 3 -y
t 224.0.0.81
t --edit-server -r 10.0.1.1
t -l -b sh-port -r 10.0.1.2:8080
t -nL master -Mx
t --list -f 5 -6 --tun-port 9
t -l --sort -r 10.0.1.2:8080 backup -s rr
t -e -r [2001:db8::2]:80
t -A -t 10.0.0.1:80
t 
t -a -y --tun-type gre --tun-nocsum -6n mh
t -d -p 60
t -C --mcast-interface lo -r [2001:db8::2]:80
t -C -M --tun-type gue --nosort
t -l -t 10.0.0.1:80 -u -w 3 -p 60
t -L --tun-type gre
t --list -t [2001:db8::1]:80 lo -i ipip
t -Z -s --list=
t -A -u 10.0.0.1:53 --sctp-service
t --start-daemon
t --set
t -Lnc gre -u 10.0.0.1:53
t --stop-daemon --exact
t -E -p 60 -w 3
t --add-service -Mx -w -i
t -Z lo
t --stop-daemon
t -S
t -Z -x 9 --syncid 9
t -D 64 -cX
t -f -b sh-port
t -Z --- -t 10.0.0.2:80
t -C -w 3 --exact sip
t -a --tcp-service=10.0.0.8:8 -y 3 --sync-maxlen ---
t --set
t -R -in
t -l -s
$IPVSADM -C
t 
t -e --tun-type gre -f5 --tun-info --tun-nocsum
t --stop-daemon -f5 --rate -r 10.0.1.1
t -E -s rr --tun-csum 4294967295
t --start-daemon -f5 -s sh
t --list -b sh-port
t --stop-daemon -M 255.255.255.0
t -v '-pé' --=
t --start-daemon -M 255.255.255.0
t -a -r 10.0.1.2:8080
t -D 2001:db8::1 rr 10.0.0.1:80 : -r 10.0.1.2:8080
t -e
t -E --tun-info -r 10.0.1.2:8080 -M -n --syncid 9
t --edit-server
t -R -m --tun-type gue
t -L 255.255.255.0 -t 10.0.0.2:80 -f
t -C --mcast-interface lo -g
t -Ln -- -r [2001:db8::2]:80
t --start-daemon 10.0.1.1 mh
t -d -mw
t -C lo -f 5
t -a 7
t -d -p 60 -s sh 4294967295
t --list -w -r 10.0.1.2:8080 --tun-type gre --tcp-service=10.0.0.8:8 --syncid 9
t -C 'é' --= -m
t -E 2001:db8::1
t -S --tun-info -i lo
t -D
t -d -t 10.0.0.2:80 --mcast-interface lo
t -A
t -l 0x5 -5 -r10.0.1.9 -w 3 -M 255.255.255.0
t -Ln 10.0.0.1 --sctp-service --- -f 5 -6
t -d --tun-type gue [2001:db8::1]:80 1e3
t --sort --ops -t 10.0.0.1:80
t --stop-daemon -i -f5 -i -y 3
t -Ln --= -r --syncid 9 --persistent-conn ipip
t --set --ops= 128 flag-1 -M 255.255.255.0
t -C -r 10.0.1.2:8080
t -E -r 10.0.1.1 -M 255.255.255.0 -mw --tun-type gre -y 3
t -At -g
t --start-daemon
t -v --tun-port 9 --tun-type gue backup -y 3 --tun-type gre
t --edit-server sh-port gre 1 -g
t -C -w
t -d -t 10.0.0.2:80
t -Ln -s rr [2001:db8::1]:80 -x=5 -p
t --edit-server -t 10.0.0.1:80 -f 5 -6
t -Z --mcast-interface
t -a ---
t --edit-server -r 10.0.1.1 -r --syncid 9 -s sh --persistent-conn
t -E -t 10.0.0.1:80 -g -r 10.0.1.2:8080 --tun-type gue -u 10.0.0.1:53
t -D -p 60 -y -5
t --start-daemon -y 3
t -a -w5 : -t 10.0.0.2:80
t -A --tun-type gue -X -M 255.255.255.0
t -A --tun-csum --mcast-group
t --add-service
t -h -t '-pé'
t -Z -f 5 10.0.0.1:80 backup -t 10.0.0.2:80 -f=5
t --add-service
$IPVSADM -C
t --set -s rr 128 --tun-port 9 rr --tun-type gre
t -Z
t -d -r [2001:db8::2]:80 sh-port -i
t -e -mw sh-port -s rr
t -v mh
t -M
t -At -r 10.0.1.1
t -h
t --start-daemon -r 10.0.1.2:8080 -x 9 -g
t -a -p 60
t -v -i -w 3
t --list -w 3 --weight=3
t -Z -f 5 -6 --mcast-interface -w 3 --tun-type gre --tun-type
t -v -r 10.0.1.1 --tun-remcsum -6n -p 60 --syncid 9
t -u 10.0.0.1:53 -s sh
t --stop-daemon -n -m --pe
t -Z -b sh-port -f 5 gue 10.0.1.1 'é'
t -r [2001:db8::2]:80 -x 9 --rate
t -D -m --sctp-service --mcast-interface lo
t -Z --mcast-interface lo
t -D -m mh
t -At -M 255.255.255.0 -r [2001:db8::2]:80 10.0.0.1 --tun-info -t10.0.0.9:9
t -R --tun-type -ng
t -d -r [2001:db8::2]:80
t --tun-type gue --tun-type gue -r [2001:db8::2]:80
t -nL -g
t -e -u --ipip
t -6n --stats sh -m ]:
t -Ln -t 10.0.0.1:80 --persistent=9 lo -M 255.255.255.0
t -h --mcast-port --syncid -i '' :
t -Ln -w --tun-type gue -x 9 -1
t -D -t 10.0.0.1:80 --syncid 9
t -Z -m -g
t -h -r [2001:db8::2]:80
t -D -y 3 -f 5 -y 3 -r [2001:db8::2]:80
t sh-port
t --list -t 10.0.0.1:80 --tun-type -m --ops -w 3
t -D
t -h -r 10.0.1.2:8080 -ng -y 3
t -E -c
t -e -u 10.0.0.1:53 -ng 128 --tun-type --tun-port 9
t --list -b sh-port -o6 -f 5
t --start-daemon
t -a -m --persistent=9
t --list -f --timeout --sort
t -v -m --weight=3
t -v --sort
t -l
t --list -t [2001:db8::1]:80 -x 9 -x -M
t 80 -t 10.0.0.1:80
t -D -s sh
t -Lnc --tun-type gue -x 9 -m
t -C
t 4294967295 --exact -r [2001:db8::2]:80 --weight=
t --edit-server -s sh
t -L --mcast-group ipip -g
t -C -t 10.0.0.1:80 -f 5 --sync-maxlen -X
t -E master ---
t -R [2001:db8::1]:80
t --start-daemon -X --persistent-conn --= :
$IPVSADM -C
t --start-daemon -m -p -5
t --list -x 9 -r 10.0.1.1
t -Ln sip
t -L -m
t --start-daemon -s sh -f 5 -6 -o6 --syncid 9 -ng
t -a -=
t --set --tun-csum --mcast-port --mcast-group 0x5 []:1
t --edit-server ipip -s rr
t -E rr
t --list -c --weight=
t -S -r [2001:db8::2]:80 --exact
t -Lnc -x 9 --tun-port -f -6 [
t [ -f=5 64
t -R -p 60 -w 3
t 0 -6 1 -t 10.0.0.1:80 ''
t --add-service -f 5 -f 5 -6
t -At --ops= -s sh --sort --tun-type gre master
t ff02::51 --mcast-group sip --list= -f 5 -6
t --set -f 5 --rate -r [2001:db8::2]:80 -t 10.0.0.1:80
t -R -f 5
t -nL -s --=
t -E -M 255.255.255.0 -p 60
t -S -t 10.0.0.1:80 -r --tun-type gre --ops=
t --list --tun-type gue -t 10.0.0.2:80 -f 5 --sctp-service -t [2001:db8::1]:80
t -nL -M 255.255.255.0 --sync-maxlen --tun-remcsum -f
t -S -o6 -w 3 --tun-csum 10.0.0.1:80
t -D lo '-pé'
t --list
t -h -gn -y -x 9 flag-1 -b
t -At
t -l
t gue -w 3 -M 255.255.255.0 -M 255.255.255.0
t -S -p 60 --list= 64 rr
t -Z
t --set --stats -s sh -i --tun-type gue
t -h '-pé'
t -At -t 10.0.0.1:80 --persistent=9
t -Z -s sh --tun-type gre
t -d --sctp-service --tun-type
t -nL -p 60
t -At --tun-port 9
t -v --list= lo
t -Z -p 60 -t 10.0.0.1:80
t -C
t --list
t -h --syncid 9
t --add-service -r [2001:db8::2]:80 -t10.0.0.9:9
t -v -r [2001:db8::2]:80 1
t -S -t 10.0.0.2:80 -g
t --list 0
t -a --rate ipip -o6
t -l -f -w 3 gre -gn 0
t -d -x=5 -b sh-port
t -a -w flag-1 --sync-maxlen -x
t -D -t10.0.0.9:9 -r [2001:db8::2]:80 --persistent-conn
t --start-daemon --mcast-interface lo -m --tun-type gre -t 10.0.0.2:80
t --add-service
t -Z -b sh-port -t 10.0.0.2:80 --persistent=9 -X
t --edit-server -mw master master -r 10.0.1.1 -t 10.0.0.2:80
t -a -w 3 -- -y 3 --syncid 9
$IPVSADM -C
t -A -cX -n
t -d -gn -r [2001:db8::2]:80 ]: --tun-port 9 -i
t -R
t --start-daemon -u 10.0.0.1:53 -o
t -Z -f 5 -f 5 -6
t -D --tun-port -f5 -i -p 60
t -D -y 3 -w 3 -i
t -At
t -l gue
t -Ln -m -t 10.0.0.1:80
t -D -n --tun-nocsum -b sh-port --tun-port -t 10.0.0.1:80
t -v --mcast-port backup -p= -r [2001:db8::2]:80 -f 5
t -a -r 10.0.1.2:8080 -r10.0.1.9 -t 10.0.0.2:80
t --add-service -t 10.0.0.2:80
t --list -p 60
t -Z -p= -t --ops= -f=5 -t 10.0.0.2:80
t -v -X -y 3 --syncid '-pé' 224.0.0.81
t --list -r [2001:db8::2]:80 [
t --stop-daemon --tun-remcsum -t [2001:db8::1]:80
t --list --nosort -Mx -y -f 5
t -C
t --stop-daemon
t -Ln --tun-csum -s sh -f 5 -6 -r 10.0.1.1 -5
t -nL -p []:1 -t 10.0.0.2:80 -6 -x 9
t --start-daemon --tun-type gue -r 10.0.1.1
t -At -f 5 -6 1
t --list
t -A --tun-type gre --tun-nocsum
t --add-service
t -l 10.0.0.1:80
t -R -u 10.0.0.1:53
t -D --tun-type -r 10.0.1.2:8080
t --edit-server 1 --tun-port 9 --mcast-ttl
t --start-daemon --tun-port 9 -r 10.0.1.2:8080 --syncid 9 -i
t -Ln -n -p
t -v --pe
t --add-service -i
t -Ln
t -nL
t -L 7 -M 255.255.255.0
t --set --weight=3 -w 3 backup sip flag-1
t -= -x 9 -x 9
t --stop-daemon -s sh -f=5 --sctp-service --thresholds --syncid 9
t -Ln -t 10.0.0.2:80 -w 3
t -D
t -At -r [2001:db8::2]:80 -s sh
t -C gue -x 9 -b sh-port
t -v -f5 ipip
t -nL -n 0x5
t -e --weight= 1e3 -i --tun-type gre
t --ops
t -L -p 60 --tun-type gre --ops=
t -l -f -s --mcast-interface lo -s sh -gn
t -At --tun-remcsum -b --syncid 9 -w --=
t --set lo -t 10.0.0.1:80
t -t 10.0.0.2:80 -g
t -l --tun-nocsum --tun-type gue
t -d -f 5
t -E --weight= -b sh-port -t 10.0.0.2:80 --mcast-interface lo
t -h -u 10.0.0.1:53 --tun-type gue
$IPVSADM -C
$IPVSADM --set 900 120 300
$IPVSADM --stop-daemon master 2>/dev/null
$IPVSADM --stop-daemon backup 2>/dev/null
