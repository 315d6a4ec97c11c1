#!/bin/bash
# Runs inside a real systemd (see boot-systemd.sh): the shipped unit with the real daemon.
# Every line `ok NAME` is a fact that test_real_systemd.py asks for. $1: a checkpoint to verify.
set -u
ok() { echo "ok $1"; }
get() { /usr/bin/python3 -c "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())" "$1"; }
web=http://127.0.0.1:9746
runs=/srv/checkpoints
waited() { for _ in $(seq 300); do "$@" && return 0; sleep 0.1; done; return 1; }

systemctl start checkpointd && ok "started"
[[ $(systemctl is-active checkpointd) == active ]] && ok "active as soon as start returns"
get $web/healthz >/dev/null && ok "healthy"
cp -r "$1" $runs/given && chown -R checkpointd $runs/given
valid() { get $web/api/v1/checkpoints | grep -q '"state": *"valid"'; }
waited valid && ok "verdict under the hardened unit"
get $web/api/v1/checkpoints
confined() { get $web/api/v1/status | grep -q '"self_test": *"passed"'; }
waited confined && ok "the sandbox is whole under the hardened unit"
told() { systemctl show -p StatusText checkpointd | grep -q "1 valid"; }
waited told && ok "status text counts it"
journalctl -u checkpointd -o cat --no-pager | grep -q '"event": *"valid"' && ok "the journal has it as JSON"
[[ $(systemctl show -p NRestarts --value checkpointd) == 0 ]] && ok "the watchdog is fed"

cp /etc/checkpointd/config.toml /tmp/good.toml
printf '[worker]\nconcurrency = 0\n' >>/etc/checkpointd/config.toml
systemctl reload checkpointd 2>/dev/null || ok "a broken config makes reload fail"
[[ $(systemctl is-active checkpointd) == active ]] && ok "and the old one goes on"
cp /tmp/good.toml /etc/checkpointd/config.toml
systemctl reload checkpointd && ok "a good config is taken"

pid=$(systemctl show -p MainPID --value checkpointd)
[[ $pid -gt 1 ]] || { journalctl -u checkpointd -o cat --no-pager | tail -n 40; exit 0; }  # 0 is us
kill -STOP "$pid"
restarted() { [[ $(systemctl show -p NRestarts --value checkpointd) == 1 ]]; }
waited restarted && ok "a stuck daemon is restarted by the watchdog"
waited valid && ok "and still knows the verdict"
systemctl stop checkpointd
[[ $(systemctl show -p Result --value checkpointd) == success ]] && ok "stopped cleanly"

printf '[worker]\nconcurrency = 0\n' >/etc/checkpointd/config.toml
systemctl start checkpointd 2>/dev/null
sleep 1
[[ $(systemctl show -p ExecMainStatus --value checkpointd) == 78 ]] && ok "a wrong config ends with 78"
[[ $(systemctl is-active checkpointd) == failed ]] && ok "and is not restarted"
journalctl -u checkpointd -o cat --no-pager | tail -n 40
exit 0
