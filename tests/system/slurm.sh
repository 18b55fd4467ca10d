#!/usr/bin/env bash
# Starts (or stops) a SLURM of this one machine under a folder: munged, slurmctld and slurmd, all by root.
#   slurm.sh start FOLDER    prints the SLURM_CONF to use
#   slurm.sh stop FOLDER
set -euo pipefail
folder=$2

stop() {
  for daemon in slurmd slurmctld munged; do
    [ -f "$folder/$daemon.pid" ] && kill "$(cat "$folder/$daemon.pid")" 2>/dev/null || true
  done
}

start() {
  mkdir -p "$folder"/{state,spool}
  # munge insists on its own user, and on folders that nobody else may write.
  install -d -o munge -g munge -m 0711 "$folder/munge"
  install -o munge -g munge -m 0400 /etc/munge/munge.key "$folder/munge/munge.key"
  chmod a+x "$folder"
  setpriv --reuid=munge --regid=munge --clear-groups munged --key-file="$folder/munge/munge.key" \
    --socket="$folder/munge/socket" --pid-file="$folder/munge/munged.pid" --log-file="$folder/munge/log" \
    --seed-file="$folder/munge/seed" --force
  ln -sf munge/munged.pid "$folder/munged.pid"
  cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$(hostname)
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
$(slurmd -C | head -n 1 | sed "s/RealMemory=[0-9]*/RealMemory=1000/") State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
  export SLURM_CONF=$folder/slurm.conf
  slurmctld
  slurmd
  for _ in $(seq 100); do
    sinfo --noheader --format=%T 2>/dev/null | grep -q idle && break
    sleep 0.2
  done
  sinfo --noheader --format=%T | grep -q idle
  echo "$SLURM_CONF"
}

"$1"
