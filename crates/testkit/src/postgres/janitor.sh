# Ends and removes the server in the directory $2 when nobody has held a lock on the file $1 for $3 seconds.
exec 9<"$1" && cd "$2" || exit
while flock 9; do
    flock -u 9
    sleep "$3"
    flock -n 9 && break
done
# From here to the end of this process nobody gets the lock: who comes now finds no server, and starts one.

# Each process of the server has inherited the lock on its log. Not for ever: one may be stopped.
for _ in $(seq 300); do
    flock -n log true && break
    kill -QUIT "$(head -n 1 data/postmaster.pid)"
    sleep 0.1
done
# What a killed server has left in the kernel.
ipcrm -m "$(sed -n '7s/.* //p' data/postmaster.pid)"
cd / && rm -rf "$2"
