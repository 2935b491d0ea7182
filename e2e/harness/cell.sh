# Holds a container daemon inside namespaces of its own, of which this shell is process 1.
#
#   cell.sh FOLDER CGROUP DAEMON [ARGUMENT...]
#
# It reads commands, one a line, and answers each with one line: the exit status of what it did and, for
# some commands, a text. At the end of its input, so also when the test binary dies, everything in the
# namespaces ends: daemon, shims, containers, mounts, network.
set -u
folder=$1 cgroup=$2
shift 2

# Nothing mounted here is seen outside. An empty /run hides the machine's own containerd and Docker.
mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs tmpfs /run &&
  busybox ip link set lo up || exit 1

daemon=
finish() { # finish SIGNAL
  [ -n "$daemon" ] || return 0
  kill "-$1" "$daemon" 2>/dev/null
  wait "$daemon" 2>/dev/null
  daemon=
}

while read -r command more; do
  text=
  case $command in
  start)
    # shellcheck disable=SC2086 # more is a list of arguments
    "$@" $more >>"$folder/log" 2>&1 </dev/null &
    daemon=$!
    ;;
  running) [ -n "$daemon" ] && kill -0 "$daemon" 2>/dev/null ;;
  stat) [ -n "$daemon" ] && { read -r text <"/proc/$daemon/stat"; } 2>/dev/null ;;
  stop) finish TERM ;;
  kill) finish KILL ;;
  esac
  echo "$? $text"
done

kill -KILL -1 2>/dev/null
wait
# The control groups outlive their processes, and are the machine's.
find /sys/fs/cgroup -depth -type d \( -path "*/$cgroup" -o -path "*/$cgroup/*" \) -exec rmdir {} + 2>/dev/null
true
