# `systemd install` once more: nothing is written twice, and what a person has changed stays.
unit=/etc/systemd/system/checkpointd.service
said=$(checkpointd systemd install)
grep -qE '^(wrote|updated|kept)' <<<"$said" || ok "install is idempotent"
sed -i "s,^Nice=10,Nice=5," $unit
checkpointd systemd install | grep "^kept  *$unit: changed by hand" && [[ -e $unit.new ]] && grep -qx Nice=5 $unit && ok "a changed unit is kept"
mv $unit.new $unit
cp /etc/checkpointd/config.toml /tmp/config.toml
sed -i '1i [web]\nlisten = "127.0.0.1:9800"' /etc/checkpointd/config.toml
systemctl restart checkpointd
checkpointd status | grep "listens on 127.0.0.1:9746" && ok "an address that systemd does not listen on is a problem"
checkpointd systemd install && systemctl daemon-reload && systemctl restart checkpointd.socket checkpointd.service && get http://127.0.0.1:9800/healthz && ok "install takes the address from the config"
cp /tmp/config.toml /etc/checkpointd/config.toml
printf '[watch.retention]\nmode = "enforce"\nkeep_last = 9\n' >>/etc/checkpointd/config.toml
checkpointd systemd install | grep "checkpointd cannot use $runs" && ok "a directory that cannot be pruned is named"
grep -qx -- "ReadWritePaths=-$runs" /etc/systemd/system/checkpointd.service.d/directories.conf && ok "pruning makes the directory writable"
cp /tmp/config.toml /etc/checkpointd/config.toml
checkpointd systemd install && systemctl daemon-reload && systemctl restart checkpointd.socket checkpointd.service
