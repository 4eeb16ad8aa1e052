"""The management API at ``/v0/management``: absent without a key.

* **guard**: who may; **key ring**: how a key is judged without holding anybody up.
* **route**: method, path, what it does, and its line in the OpenAPI document; **resource**: a table of routes.
* **state**: what the API sees of the running server.
* **mask**: stands for a secret wherever one is shown, and for the same secret when it comes back.
"""
