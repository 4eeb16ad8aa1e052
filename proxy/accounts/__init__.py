"""Accounts as files: what the running server makes of the auth-dir, and what the command line does with it.

* **enrolment**: the auth-dir while the server runs: files → credentials, within a second (`enrolment.py`).
"""
