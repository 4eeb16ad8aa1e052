"""Serving from several cores (`workers: N`), by as many processes that listen on one port.

* **owner**: the process that the user started. It has everything, and serves, too.
* **follower**: one of the others. It serves what needs no owner (`scope`), writes no file and renews no login.
* **link**: the socket between the owner and one follower. Messages go over it, and connections.
* **papers**: what the owner tells of configuration, keys and accounts; a follower stands on the newest.
* **news**: what one process has learnt of an account or a conversation, and all of them should know.
* **handover**: a client's connection, with what was read of it, that goes from a follower to the owner.
* **parcel**: what a follower has to say of requests that are over: the owner writes it into the books.
* **crew**: the followers, as the owner sees them.
"""
