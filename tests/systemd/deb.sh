# The Debian package: installed, its service started, and removed. What pip would download is here.
if command -v dpkg >/dev/null; then
    echo /opt/dependencies >/tmp/test.pth
    dpkg -i ./checkpointd_*.deb && ok "the Debian package installs"
    cp /tmp/test.pth "$(echo /opt/checkpointd/lib/python3*/site-packages)/"
    [[ $(stat -c '%A %U %G' /etc/checkpointd/config.toml) == "-rw-r----- root checkpointd" ]] && ok "with the modes of the manual"
    sed -i '1i [web]\nlisten = "127.0.0.1:9801"' /etc/checkpointd/config.toml
    /usr/bin/checkpointd systemd install
    [[ ! -e /etc/systemd/system/checkpointd.service ]] && ok "install leaves the units of a package alone"
    systemctl daemon-reload && systemctl start checkpointd && get http://127.0.0.1:9801/healthz && ok "its service starts"
    dpkg -r checkpointd && ! [[ -e /opt/checkpointd ]] && [[ -e /etc/checkpointd/config.toml ]] && ok "and goes without the config"
fi
