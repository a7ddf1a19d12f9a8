#!/usr/bin/env bash
# Start a private SLURM cluster of two nodes on this machine: start.sh DIR. DIR, new or empty, holds all of its state.
# Prints the path of a file to source, which sets SLURM_CONF and PATH. stop.sh DIR ends it. Needs no root, no systemd.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH=$PATH:/usr/sbin:/sbin
mkdir -p "${1:?usage: start.sh DIR}"
dir=$(cd "$1" && pwd)
[ ! -e "$dir/run" ] || { echo "start.sh: $dir holds a cluster; stop.sh it first" >&2; exit 1; }
for tool in munged slurmctld slurmd scontrol python3; do
  command -v $tool >/dev/null || { echo "start.sh: $tool: not found; it comes with slurm-wlm and munge" >&2; exit 1; }
done
chmod 755 "$dir"  # munged refuses a socket below a folder that others may write to
mkdir -p "$dir"/{munge,state,log,run} "$dir"/spool/node{1,2}
chmod 711 "$dir/munge"
trap 'status=$?; [ $status = 0 ] || { tail -n 5 "$dir"/log/* >&2; "$here/stop.sh" "$dir"; exit $status; }' EXIT

launch() { # NAME COMMAND...: in the background, in a session of its own
  local name=$1; shift
  setsid nohup "$@" >"$dir/log/$name.out" 2>&1 </dev/null &
  echo $! >"$dir/run/$name.pid"
}
wait_for() { # COMMAND...: until it succeeds
  local end=$((SECONDS + 60))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "start.sh: gave up waiting for: $*" >&2; return 1; }
    sleep 0.1
  done
}

# Free ports: one for the controller, two that follow each other for the nodes, some for srun.
read -r port node_port srun_port < <(python3 - <<'PY'
import random, socket

def free(count):
    while True:
        first = random.randrange(20000, 30000)
        try:
            held = [socket.create_server(("127.0.0.1", first + place)) for place in range(count)]
        except OSError:
            continue
        for one in held:
            one.close()
        return first

print(free(1), free(2), free(60))
PY
)

(umask 077; head -c 128 /dev/urandom >"$dir/munge/key")
launch munged munged --foreground --key-file="$dir/munge/key" --socket="$dir/munge/socket" \
  --pid-file="$dir/munge/pid" --seed-file="$dir/munge/seed" --log-file="$dir/log/munged.log" --num-threads=2
wait_for test -S "$dir/munge/socket"

# GPUs in name only: SLURM wants character devices, hands them out and sets CUDA_VISIBLE_DEVICES.
printf 'NodeName=node%d Name=gpu File=/dev/%s Flags=nvidia_gpu_env\n' 1 null 2 zero >"$dir/gres.conf"
sed -e "s|@DIR@|$dir|g; s|@USER@|$(id -un)|; s|@PORT@|$port|; s|@NODE_PORTS@|$node_port-$((node_port + 1))|" \
  -e "s|@SRUN_PORTS@|$srun_port-$((srun_port + 59))|" "$here/slurm.conf.in" >"$dir/slurm.conf"
export SLURM_CONF=$dir/slurm.conf

# The plugin takes SLURM_CONF, as all SLURM_*, from the srun that it calls in a job; this srun puts it back.
mkdir "$dir/bin"
printf '#!/bin/sh\nSLURM_CONF=%q exec %q "$@"\n' "$SLURM_CONF" "$(command -v srun)" >"$dir/bin/srun"
chmod +x "$dir/bin/srun"
printf 'export SLURM_CONF=%q PATH=%q:$PATH\n' "$SLURM_CONF" "$dir/bin" >"$dir/env.sh"

launch slurmctld slurmctld -D
for node in node1 node2; do launch slurmd-$node slurmd -D -N $node; done
two_idle() { [ "$(sinfo -h -N -p cpu -t idle -o %N | wc -l)" = 2 ]; }
wait_for two_idle
echo "$dir/env.sh"
