. "$(dirname "$0")/lib.sh"
t -A -t 80 -s rr
t -A -t 10.1:81 -s rr
t -A -t 10:82 -s rr
t -A -t 0x0a.1:83 -s rr
t -A -t 010.0.0.1:84 -s rr
t -A -t 10.0.0.256:85 -s rr
t -A -t '10.0.0.1 x:86' -s rr
t -A -t 10.0.0.1: -s rr
t -A -t '10.0.0.1: 87' -s rr
t -A -t 10.0.0.1:+88 -s rr
t -A -t 10.0.0.1:-1 -s rr
t -A -t 10.0.0.1:65536 -s rr
t -A -t 10.0.0.1:0x50 -s rr
t -A -t 10.0.0.1:http -s rr
t -A -t 10.0.0.1:HTTP -s rr
t -A -t 10.0.0.1:nosuch -s rr
t -A -t 10.0.0.1:80:90 -s rr
t -A -t [10.0.0.1:91]:92 -s rr
t -A -t [10.0.0.1] -s rr
t -A -t []:80 -s rr
t -A -t [:80 -s rr
t -A -t [::1 -s rr
t -A -t ::1 -s rr
t -A -t ::1:80 -s rr
t -A -t [::1]: -s rr
t -A -t [::1]:http -s rr
t -A -t '[::1]:http ' -s rr
t -A -t [::1]:65536 -s rr
t -A -t [::1%lo]:80 -s rr
t -A -t fe80::1%lo -s rr
t -A -t :80 -s rr
t -A -t '' -s rr
t -A -t 0 -s rr
t -A -t 1.2.3.4.5:80 -s rr
t -A -t localhost:93 -s rr
t -A -t localhost -s rr
t -A -t nosuch.invalid:80 -s rr
t -A -t 0.0.0.0:80 -s rr
t -A -t [ff02::1]:80 -s rr
t -A -t [::]:80 -s rr
t -A -t [::ffff:1.2.3.4]:80 -s rr
t -A -t [1.2.3.4::]:80 -s rr
t -A -t [2001:DB8::A]:80 -s rr
t -A -t [2001:db8::01]:81 -s rr
t -A -t [02001:db8::1]:80 -s rr
t -A -t [::1.2.3.04]:80 -s rr
t -Ln
t -Sn
