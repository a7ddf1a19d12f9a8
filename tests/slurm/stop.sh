#!/usr/bin/env bash
# End the cluster that start.sh put into DIR, and only that: stop.sh DIR. Its jobs first, then its daemons.
set -uo pipefail
dir=$(cd "${1:?usage: stop.sh DIR}" && pwd) || exit 1
[ -d "$dir/run" ] || { echo "stop.sh: $dir holds no cluster" >&2; exit 1; }
export SLURM_CONF=$dir/slurm.conf

# A process id may have gone to another process: it has to be the daemon that start.sh started.
alive() { kill -0 "$1" 2>/dev/null && tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -q -- "$2"; } 2>/dev/null

if [ -f "$SLURM_CONF" ] && timeout 5 scontrol ping >/dev/null 2>&1; then
  timeout 10 scancel --user="$(id -un)"
  for _ in $(seq 50); do [ -z "$(timeout 5 squeue -h)" ] && break; sleep 0.2; done
fi
for file in "$dir"/run/slurmd-*.pid "$dir"/run/{slurmctld,munged}.pid; do
  [ -f "$file" ] || continue
  name=$(basename "$file" .pid); pid=$(<"$file"); program=${name%%-*}
  alive "$pid" "$program" && kill "$pid"
  for _ in $(seq 100); do alive "$pid" "$program" || break; sleep 0.1; done
  alive "$pid" "$program" && kill -9 "$pid"
done
rm -rf "$dir/run"
