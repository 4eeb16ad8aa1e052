"""The wires: JSON formats that are spoken. Each is a package of four files with the same names:

`request.py` parse and render what a client asks · `response.py` the same for whole answers · `stream.py` for streamed
ones · `error.py` for errors. `__init__.py` binds them into one `Wire` (`proxy.wire.base`).

No wire imports another, none names a provider, none does I/O or asks the time.
"""
