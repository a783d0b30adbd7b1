# Each of these is a command of ec2net, and is completed like it.
complete --command ec2ifup --wraps 'ec2net up'
complete --command ec2ifdown --wraps 'ec2net down'
complete --command ec2ifscan --wraps 'ec2net scan'
