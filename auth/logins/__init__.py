"""How each official CLI is led through its login, one file per kind (`base.py` says what they have in common)."""
