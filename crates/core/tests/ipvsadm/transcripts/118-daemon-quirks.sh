. "$(dirname "$0")/lib.sh"
t --start-daemon
t --start-daemon master master
t --start-daemon MASTER
t --start-daemon master --mcast-interface abcdefghijklmnopqrst
t --start-daemon master --mcast-interface ''
t --start-daemon master --syncid ''
t --start-daemon master --mcast-interface lo --mcast-group 239.255.255.255 --sync-maxlen 65507 --mcast-ttl 255
t -L --daemon
t --stop-daemon backup
t --stop-daemon master --syncid 999
t --stop-daemon master
t --start-daemon backup --mcast-interface lo --sync-maxlen 65507
t -L --daemon
t --start-daemon backup --mcast-interface nosuch
t --stop-daemon backup
t --start-daemon backup --mcast-interface lo --mcast-group ff02::51 --sync-maxlen 65507
t -L --daemon
t --stop-daemon backup
t --start-daemon master --mcast-interface lo --sync-maxlen 1
t -L --daemon
t --stop-daemon master
t --start-daemon master --mcast-group 224.0.0.01
t --start-daemon master --mcast-group 1:2
t --start-daemon master --mcast-group ff02::1%lo
t --start-daemon master --mcast-group foo
t --stop-daemon
t --stop-daemon master -n
