. "$(dirname "$0")/lib.sh"
ti '-C
-A -t 10.0.0.1:80 -s nosuch
-A -t 10.0.0.1:81 --foo
-a -t 10.0.0.1:80
-A -t 10.0.0.2:80
' -R
t -Ln
ti 'ipvsadm -A -t 10.0.0.1:80
  -a	-t 10.0.0.1:80 -r 10.0.1.1 -m  

 	
-a -t 10.0.0.1:80 -r 10.0.1.2 -m' -R
t -Sn
ti '-A -t 10.0.0.3:80 ipvsadm -s rr
-L -n
-S -n
-L -n -t 10.9.9.9:80
-A -t 10.0.0.4:80
' -R
t -Sn
ti '-h
-A -t 10.0.0.5:80
' -R
ti '-v
-A -t 10.0.0.5:80
' -R
t -Sn
ti '-A -t "10.0.0.6:80"
' -R
ti 'ipvsadm
-D -t 10.0.0.9:80
' -R
ti '-D -t 10.0.0.9:80
-L --timeout
' -R
ti '-A -t 10.0.0.7:80
' -R -n
ti '-A -t 10.0.0.7:80
' -R foo
ti '-A -t
-A -t 10.0.0.8:80
' -R
t -Sn
ti '-A -t 10.0.0.10:80 ' -R
ti '-A -t 10.0.0.11:80  ' -R
ti '-A -t 10.0.0.12:80
   ' -R
ti 'foo
-A -t 10.0.0.13:80
' -R
ti '-n
-A -t 10.0.0.13:80
' -R
ti '-A -n -t 10.0.0.13:80
-A -t 10.0.0.14:80
' -R
t -Sn
