# A fleet by the commands of its page: certificates, the scheduler and a worker, on this host.
worker() { systemctl show -p "$1" --value checkpointd-worker; }
sudo() { "$@"; }
cp /etc/checkpointd/config.toml /tmp/before-fleet.toml
mkdir /tmp/fleet && cd /tmp/fleet
checkpointd systemd install --worker && ok "the service of a worker is written"
source "$given/fleet-certificates"
cat "$given/fleet-dispatch" >>/etc/checkpointd/config.toml
cp "$given/fleet-scheduler" /etc/systemd/system/checkpointd-scheduler.service
systemctl daemon-reload
systemctl start checkpointd-scheduler
[[ $(systemctl show -p Type --value checkpointd-worker) == notify ]] && systemctl enable -q --now checkpointd-worker && ok "it starts before its scheduler answers"
joined() { [[ $(worker StatusText) == "connected to tls://127.0.0.1:8786"* ]]; }
waited joined && ok "and joins it with TLS"
checkpointd doctor fleet && ok "doctor fleet finds both"
systemd-analyze security checkpointd-worker --threshold=15 >/dev/null && ok "exposed no more than the daemon, but for the network"
pid=$(worker MainPID)
warmed() { children=$(pgrep -P "$pid"); [[ -n $children ]]; }
waited warmed
kill -KILL "$pid"
restarted() { [[ $(worker NRestarts) == 1 ]] && joined; }
waited restarted && ok "killed, it is started again and joins"
left() { for one in $pid $children; do [[ -e /proc/$one ]] && echo "$one"; done; }
[[ -n $children && -z $(left) ]] && ok "and no process of before is left"
source "$given/fleet-daemon" >/dev/null
answers() { journal | grep -q "the scheduler answers"; }
waited answers && checkpointd status | grep "^fleet .*1 worker" && ok "the daemon hands its work to it, from its own unit"
for one in "$runs"/given/variables/variables.*; do cp "$one" "$runs/ckpt-1.${one##*/variables.}"; done
by_fleet() { checkpointd list --json | grep 'ckpt-1"' | grep -q '"state": *"valid"'; }
waited by_fleet && ok "and takes its verdict"
began=$SECONDS
systemctl stop checkpointd-worker
[[ $(worker Result) == success && $(worker ExecMainStatus) == 0 ]] && ((SECONDS - began < 10)) && ok "it stops with 0, in time"
[[ -z $(worker ControlGroup) ]] && ok "and leaves nothing behind"
journal checkpointd-worker | tail -n 12
systemctl disable -q checkpointd-worker
checkpointd systemd uninstall --worker >/dev/null && [[ ! -e /etc/systemd/system/checkpointd-worker.service ]] && ok "and is removed"
systemctl stop checkpointd-scheduler && ok "the scheduler stops"
journal checkpointd-scheduler | tail -n 5
cp /tmp/before-fleet.toml /etc/checkpointd/config.toml
source "$given/fleet-daemon" | grep "^fleet" || ok "and the daemon verifies by itself again"
rm "$runs"/ckpt-1.*
cd - >/dev/null
