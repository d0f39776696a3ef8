. "$(dirname "$0")/lib.sh"
t -A -t [2001:db8:1111:2222:3333:4444:5555:6666]:65535 -s rr -p 100 -M 64
t -a -t [2001:db8:1111:2222:3333:4444:5555:6666]:65535 -r [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535 -m -w 2147483647
t -A -t 200.200.200.200:65535 -s lblcr
t -a -t 200.200.200.200:65535 -r 200.200.200.201:65535 -m
t -Ln
t -Ln --stats
t -Ln --rate
t -Ln --thresholds
t -Ln --persistent-conn
t -Ln --tun-info
t -Sn
t -L --exact -n --stats
t -Ln -X --rate
t -A -t [::1.2.3.4]:80
t -A -t [::1:0]:80
t -A -t [::ffff:1.2.3.4]:80
t -A -t [1:0:0:2:0:0:0:3]:80
t -A -t [1:0:2:3:4:5:6:7]:80
t -A -t [::2]:80
t -Ln
