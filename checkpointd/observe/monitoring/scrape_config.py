"""The scrape configuration for a daemon, as the config has it."""

from __future__ import annotations

import json


def scrape_config(
    job: str,
    target: str,
    *,
    is_tls: bool = False,
    needs_password: bool = False,
    needs_certificate: bool = False,
) -> str:
    """Return a `scrape_configs` section as YAML.

    Args:
        job: its name.
        target: host and port.
        is_tls: the daemon serves TLS.
        needs_password: it asks for a user name and a password.
        needs_certificate: it asks for a client's certificate.
    """
    lines = [
        "scrape_configs:",
        f"  - job_name: {json.dumps(job)}",
        "    scrape_interval: 15s",
    ]
    if is_tls:
        lines += ["    scheme: https", "    tls_config:", "      ca_file: /etc/prometheus/ca.crt"]
    if needs_certificate:
        lines += [
            "      cert_file: /etc/prometheus/client.crt",
            "      key_file: /etc/prometheus/client.key",
        ]
    if needs_password:
        lines += [
            "    basic_auth:",
            "      username: prometheus",
            "      password_file: /etc/prometheus/checkpointd.password",
        ]
    lines += ["    static_configs:", f"      - targets: [{json.dumps(target)}]"]
    return "\n".join(lines) + "\n"
