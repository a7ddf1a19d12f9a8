#!/usr/bin/env bash
# Snakemake 9.27.1: every finished job leaves one more timer behind, as long as jobs wait for a free core.
#
# The scheduler evaluates all ready jobs when a job ends, and again `timespan` later, because a rate limit
# (--max-jobs-per-timespan, by default 100/1s) may have held jobs back. Each of these evaluations schedules another one,
# also where the limit held nothing back. A job that ends starts a chain of its own, and no chain ends while jobs wait:
# after n jobs there are about n evaluations a second, each of which works out parameters and resources of all ready
# jobs anew. In a long workflow on few cores the scheduler takes a growing share of a core from the jobs.
#
# Seen, with 80 finished jobs, one that sleeps and 59 that wait: 240 ticks of CPU in 8 seconds (a third of a core), and
# none with --max-jobs-per-timespan 1000/20s. No option switches the limit off, and the timers, which are threads that
# Python waits for, delay the end of Snakemake by up to the timespan.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check snakemake==9.27.1
cat > Snakefile <<'EOF'
rule all:
    input: expand("slow/{n}", n=range(60))
rule quick:
    output: "quick/{n}"
    priority: 10
    shell: "touch {output}"
rule slow:
    input: expand("quick/{n}", n=range(80))
    output: "slow/{n}"
    params: text=lambda wildcards: "x" * 1000
    shell: "touch started; sleep 15; touch {output}"
EOF

measure() { # options -> CPU ticks of the scheduler in 8 seconds in which one job sleeps
    rm -rf quick slow started .snakemake
    venv/bin/snakemake --cores 1 --quiet all "$@" > log 2>&1 &
    local process=$!
    until [ -e started ]; do sleep 0.2; kill -0 $process || { cat log; return 1; }; done
    sleep 3
    local before after
    before=$(awk '{print $14 + $15}' /proc/$process/stat)
    sleep 8
    after=$(awk '{print $14 + $15}' /proc/$process/stat)
    ticks=$((after - before))
    pkill -9 -P $process || true
    kill -9 $process
    wait $process 2> /dev/null || true
}

measure
echo "snakemake $(venv/bin/snakemake --version), default: $ticks ticks of CPU in 8 seconds"
often=$ticks
measure --max-jobs-per-timespan 1000/20s
echo "with --max-jobs-per-timespan 1000/20s: $ticks ticks"
[ "$often" -ge 30 ] && [ "$often" -ge $((3 * ticks)) ] || { echo "the behaviour has changed"; exit 1; }
