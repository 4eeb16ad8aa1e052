"""The management API at ``/v0/management``. Not built yet: its routes answer 404."""
