# The service that runs as the training job's user, beside the host's own.
useradd --create-home alice
install -d -o alice -g alice -m 0700 /home/alice/runs
cp -r "$runs/given" /home/alice/runs/given && chown -R alice: /home/alice/runs
# Read and not loaded: each interpreter that imports TensorFlow takes seconds of CPU.
scanning='verify = { skip = ["load", "signatures", "inference", "predictions", "resume"] }'
checkpointd systemd install --user alice --watch /home/alice/runs && echo "$scanning" >>/etc/checkpointd-alice/config.toml && systemctl daemon-reload && systemctl enable -q --now checkpointd@alice && ok "an instance for a user"
[[ $(systemctl show -p User --value checkpointd@alice) == alice ]] && ok "runs as that user"
as_alice() { setpriv --reuid=alice --regid=alice --init-groups checkpointd --config /etc/checkpointd-alice/config.toml "$@"; }
own_valid() { as_alice list 2>/dev/null | grep -q valid; }
waited own_valid && ok "and verifies what only that user may read"
as_alice status
as_alice reload && ok "its user may change it"
get http://127.0.0.1:9747/healthz && ok "at an address of its own"
journal checkpointd@alice | grep -q "mode is different" || ok "with the modes of its unit"
systemd-analyze security checkpointd@alice --threshold=12 >/dev/null && ok "and is as hardened"
setpriv --reuid=bob --regid=bob --init-groups checkpointd --config /etc/checkpointd-alice/config.toml status 2>/dev/null || ok "others may not ask it"
systemctl disable -q --now checkpointd@alice.service checkpointd@alice.socket
checkpointd systemd uninstall --user alice && [[ -e /etc/systemd/system/checkpointd.slice && ! -e /etc/systemd/system/checkpointd@.service ]] && ok "and goes alone"
systemctl daemon-reload
