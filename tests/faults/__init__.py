"""The fault rig: real servers, databases and devices, and everything that goes wrong between them.

`python -m tests.faults --help` runs it. What a device was told is stored is written down outside of what is attacked,
and looked for in the database afterwards.
"""
