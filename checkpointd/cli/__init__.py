"""The command line: thin commands that parse, call and print.

`main` is the only module that turns exceptions into exit codes, `app` puts the commands together,
`workspace` knows the config and the state. Whatever is slow to import is imported by the command
that needs it, so that `--help` and `latest` are quick enough for a shell script.
"""
