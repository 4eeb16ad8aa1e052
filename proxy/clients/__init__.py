"""The official and other coding CLIs, as clients of this server: started against it, or set up for it.

* **client**: one CLI: its program, and pure functions that say what it needs.
* **access**: what a client is told of the server: URL, key, models.
* **launch**: arguments and environment for one run (`proxy run`); nothing is written.
* **edit**: changes of one of the client's own files (`proxy setup`): merged, shown, backed up, undone.
* **journal**: what a setup changed, for `--undo`.
"""
