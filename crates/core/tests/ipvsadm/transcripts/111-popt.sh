. "$(dirname "$0")/lib.sh"
t -n=x
t -L -n=x
t -L --numeric=x
t -L -=x
t -L ---x
t -L --=x
t -L -
t -L - -n
t -L --
t -L -- -n
t -- -L
t -A -h
t -A -v
t -L --start-daemon master
t -LC
t -L --help
t -hL
t -vh
t -h foo
t -h --nosuch
t foo -Ln
t -Lt
t -At=
t -A --tcp-service=
t -A --tcp-service
t -list
t --add
t -A -p
t -A -t 10.0.0.1:80 -p=5
t -A -t 10.0.0.1:80 -p ''
t -A -t 10.0.0.1:80 --persistent=
t -A -t 10.0.0.1:80 -p -- 
t -A -t 10.0.0.1:80 -p 60x
t -A -t 10.0.0.1:80 -p ' 60'
t -A -p -t 10.0.0.1:80
t -A -t 10.0.0.1:80 -p5 -s=rr
t -Sn
t -l
t -nL
t -nl
t -Ln -I
t -ln6
t -A -6
t -A -t 10.0.0.1:80 -s --foo -p 3
t -D -s
t -LX
t -Lo
t -L --exact=1
t --list=3
t -L -nX --stats
t --clear --clear
t -C -C
t --start-daemon=master --mcast-interface=lo
t --stop-daemon=master
t --start-daemon=
t -Ln -é
t -é
t -L é
