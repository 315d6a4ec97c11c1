"""What is on disk: events wake, a scan decides, a fence waits until a save is finished.

`series` places a name among others, `scan` lists, `fence` judges, `watcher` puts them together
in one thread for each watch and tells the daemon by the words in `events`.
"""
