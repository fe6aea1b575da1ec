"""The device itself, without a socket: one local database, and what to ask the server next.

Everything here is synchronous and takes time, randomness and the server's answers as arguments, so that any
history of devices, accidents and answers can be replayed in one thread. Only `device.py` is imported from
outside this package.
"""
