# Without root: a service of alice's own systemd, which a login or lingering starts.
uid=$(id -u alice)
install -d /run/user && install -d -o alice -g alice -m 0700 "/run/user/$uid"
systemd-run -q --unit=alice --uid=alice -p Delegate=yes -p Type=notify -E "XDG_RUNTIME_DIR=/run/user/$uid" \
    -E HOME=/home/alice /lib/systemd/systemd --user
mine() { setpriv --reuid=alice --regid=alice --init-groups env -i HOME=/home/alice "XDG_RUNTIME_DIR=/run/user/$uid" "PATH=$PATH" "$@"; }
config=/home/alice/.config/checkpointd/config.toml
mine checkpointd systemd install --watch /home/alice/runs
echo "$scanning" >>$config
mine systemctl --user daemon-reload && mine systemctl --user enable -q --now checkpointd && ok "without root it runs under a systemd of one's own"
own_up() { mine checkpointd --config $config list | grep -q given; }
waited own_up && ok "and watches"
mine checkpointd --config $config status | grep -E "^(web|sandbox|daemon)"
mine systemctl --user reload checkpointd && ok "and can be reloaded"
mine systemctl --user show -p Result -p NRestarts checkpointd
mine systemd-analyze --user verify /home/alice/.config/systemd/user/checkpointd.service && ok "its unit has nothing that such a systemd does not know"
mine systemctl --user disable -q --now checkpointd.service checkpointd.socket
mine checkpointd systemd uninstall >/dev/null && [[ ! -e /home/alice/.config/systemd/user/checkpointd.service ]] && ok "and is removed"
systemctl stop alice
