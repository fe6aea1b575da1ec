"""The load generator: it speaks the sync protocol to any server by URL, and sets ours beside the bare limit.

    load.py       what is sent: ids, stamps, batches, built before the clock runs
    people.py     people at a browser: their histories, and what they ask for over REST
    client.py     a device of the load generator over HTTP and the socket
    workloads/    W1 push, W1b update, W2 live, W3 bootstrap, W4 idle, W5 conflict, W6 single, W7 growth, W8 REST,
                  the SDK
    servers.py    our server, the bare one and their databases as real processes
    bare.py       the bare limit: what this language, driver and database can do at all
    report.py     figures, ratios, the table and the JSON
    picture.py    the same as an SVG

It imports nothing of the server: what it measures is what a device sees.
"""
