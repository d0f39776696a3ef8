. "$(dirname "$0")/lib.sh"
t -Z
t -Z -t 0.0.0.0:0
t -Z -t 0.0.0.0
t -Z -u 0.0.0.0:1
t -Z -f 1
t -Z -t 10.0.0.1
t -Z -t [::]:0
t -Z foo
t -A -t 0.0.0.0:0 -p 5
t -Z -t 0.0.0.0:0
t -Ln
t -D -t 0.0.0.0
t -D -t 0.0.0.0
