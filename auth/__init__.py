"""Accounts: what they are, where they are kept, and in what state they are.

* **credential**: one account or key, as an immutable value (`credential.py`).
* **secret**: a string that never prints (`secret.py`).

Imports nothing of `proxy` or `management`.
"""
