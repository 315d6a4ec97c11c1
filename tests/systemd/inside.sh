#!/bin/bash
# Runs inside a real systemd (see boot-systemd.sh): checkpointd as a stranger installs it, from the
# wheel in the current directory, by the commands of the README. Every line `ok NAME` is a fact that
# test_real_systemd.py asks for.
# $1: a checkpoint to verify; $2: a file with the README's commands, one a line, and beside it what
# the page about fleets shows.
set -u
PATH=/usr/local/bin:$PATH
ok() { echo "ok $1"; }
get() { /usr/bin/python3 -c "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=60).read().decode())" "$1"; }
web=http://127.0.0.1:9746
runs=/data/runs/resnet
waited() { for _ in $(seq 1200); do "$@" && return 0; sleep 0.1; done; return 1; }
journal() { journalctl -u "${1:-checkpointd}" -o cat --no-pager; }
here=$(dirname "$0")
given=$(dirname "$2")

mkdir -p $runs
# What `pip install` would download is here already, for any venv that is made.
mapfile -t commands <"$2"
for command in "${commands[@]}"; do
    echo "# $command"
    case $command in *enable*) cp -r "$1" $runs/given ;; esac
    eval "$command" </dev/null || { echo "failed: $command"; journal | tail -n 20; exit 0; }
    case $command in *"-m venv"*) echo /opt/dependencies >"$(echo /opt/checkpointd/lib/python3*/site-packages)/test.pth" ;; esac
done
((${#commands[@]} == 5)) && ok "five commands install it"
[[ $(systemctl is-active checkpointd) == active ]] && ok "active as soon as start returns"
get $web/healthz >/dev/null && ok "healthy"
checkpointd status && ok "status answers root"
valid() { get $web/api/v1/checkpoints | grep -q '"state": *"valid"'; }
waited valid && ok "verdict under the hardened unit"
get $web/api/v1/checkpoints
[[ $(checkpointd latest resnet --requires runs) == $runs/given ]] && ok "latest finds it"
confined() { get $web/api/v1/status | grep -q '"self_test": *"passed"'; }
waited confined && ok "the sandbox is whole under the hardened unit"
told() { systemctl show -p StatusText checkpointd | grep -q "1 valid"; }
waited told && ok "status text counts it"
fields() { journalctl CHECKPOINTD_WATCH=resnet CHECKPOINTD_EVENT=valid CHECKPOINTD_PATH="$runs/given" -o "$1" --no-pager; }
waited eval 'fields verbose | grep -q "_SYSTEMD_UNIT=checkpointd.service"' && ok "the journal has its fields"
fields cat | grep -q "^valid watch=resnet path=$runs/given " && ok "and a line for people"
journal | grep -q "mode is different" || ok "modes on disk are those of the unit"
[[ $(stat -c '%A %U %G' /etc/checkpointd /etc/checkpointd/config.toml /var/lib/checkpointd /var/lib/checkpointd/control.sock | tr '\n' ' ') == "drwxr-x--- root checkpointd -rw-r----- root checkpointd drwxr-x--- checkpointd checkpointd srw-rw---- checkpointd checkpointd " ]] && ok "and those of the manual"
systemd-analyze security checkpointd --threshold=12 >/dev/null && ok "exposure is 1.2 or less"
[[ $(systemctl show -p Slice --value checkpointd) == checkpointd.slice ]] && ok "in its slice"
useradd --create-home bob && usermod -aG checkpointd bob
useradd --create-home carol
/opt/checkpointd/bin/python -B "$here/users.py" $runs/given bob carol
/usr/bin/python3 "$here/firewall.py"
checkpointd doctor config service daemon web state ledger roots trash watch-limits sandbox hooks >/tmp/doctor && ok "doctor finds no problem"
cat /tmp/doctor

source "$here/reinstall.sh"
source "$here/restart.sh"
source "$here/instance.sh"
source "$here/own.sh"
source "$here/worker.sh"

cp /etc/checkpointd/config.toml /tmp/good.toml
printf '[worker]\nconcurrency = 0\n' >>/etc/checkpointd/config.toml
systemctl reload checkpointd 2>/dev/null || ok "a broken config makes reload fail"
[[ $(systemctl is-active checkpointd) == active ]] && ok "and the old one goes on"
cp /tmp/good.toml /etc/checkpointd/config.toml
systemctl reload checkpointd && ok "a good config is taken"

pid=$(systemctl show -p MainPID --value checkpointd)
before=$(systemctl show -p NRestarts --value checkpointd)
[[ $before == 0 ]] && ok "the watchdog is fed"
[[ $pid -gt 1 ]] || { journal | tail -n 40; exit 0; }  # 0 is us
kill -STOP "$pid"
restarted() { [[ $(systemctl show -p NRestarts --value checkpointd) == 1 ]]; }
waited restarted && ok "a stuck daemon is restarted by the watchdog"
waited valid && ok "and still knows the verdict"
systemctl stop checkpointd
[[ $(systemctl show -p Result --value checkpointd) == success ]] && ok "stopped cleanly"
active() { [[ $(systemctl is-active checkpointd) == active ]]; }
get $web/healthz >/dev/null && waited active && ok "a scrape starts it"

printf '[worker]\nconcurrency = 0\n' >/etc/checkpointd/config.toml
systemctl restart checkpointd 2>/dev/null
failed() { [[ $(systemctl is-active checkpointd) == failed ]]; }
waited failed
[[ $(systemctl show -p ExecMainStatus --value checkpointd) == 78 ]] && ok "a wrong config ends with 78"
failed && ok "and is not restarted"

checkpointd systemd uninstall 2>/dev/null || ok "what is enabled is not removed"
systemctl disable -q --now checkpointd.service checkpointd.socket
checkpointd=$(readlink /usr/local/bin/checkpointd)
$checkpointd systemd uninstall && [[ ! -e /etc/systemd/system/checkpointd.service && -e /etc/checkpointd/config.toml ]] && ok "uninstall leaves the config"
systemctl daemon-reload
systemctl cat checkpointd >/dev/null 2>&1 || ok "and no unit"
rm -rf /opt/checkpointd /etc/checkpointd
source "$here/deb.sh"
journal | tail -n 40
echo "CPU seconds: $(awk "/usage_usec/ {print int(\$2 / 1000000)}" /sys/fs/cgroup/cpu.stat | head -n1)"
journalctl -o cat --no-pager | grep -i "firewall" | sort | uniq -c | head -n 3
exit 0
