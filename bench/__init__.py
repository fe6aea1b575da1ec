"""The load generator: it speaks the sync protocol to any server by URL, and sets ours beside the bare limit.

    load.py       what is sent: ids, stamps, batches, built before the clock runs
    client.py     a device of the load generator over HTTP and the socket
    workloads.py  W1 push, W3 bootstrap, W4 idle
    servers.py    our server, the bare one and their databases as real processes
    bare.py       the bare limit: what this language, driver and database can do at all
    report.py     figures, ratios, the table and the JSON

It imports nothing of the server: what it measures is what a device sees.
"""
