"""What there is under /v0/management: each module is a table of routes and what they do."""
