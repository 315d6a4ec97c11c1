"""What is on disk: events trigger a scan, the scan decides, and a settle delay follows each save.

`scan` lists directories, `settle_tracker` decides what is finished;
`watcher` runs them in one thread for each watch and reports to the daemon by `events`.
"""
