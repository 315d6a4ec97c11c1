"""The manual: the pages in `checkpointd/docs`, tables made from the code, the man page."""
