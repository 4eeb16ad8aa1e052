"""The official CLIs as programs: found and installed, started, and spoken to."""
