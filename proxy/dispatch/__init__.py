"""From a request to the candidate that serves it: catalogue, policy, failover, relay, translate."""
