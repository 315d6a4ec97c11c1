"""The web server: status page, API, metrics and health over TCP, control over a unix socket."""
