"""What is on disk: events wake, a scan decides, a settle delay waits until a save is finished.

`scan` lists directories, `settle_tracker` decides what is finished;
`watcher` runs them in one thread for each watch and reports to the daemon by `events`.
"""
