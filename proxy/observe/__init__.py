"""What happened: logs, metrics, recordings. Nothing here decides or holds up a request."""
