"""The deterministic simulator: phones, servers, a store and a bus in one thread, under virtual time, from one seed.

python -m tests.simulator --seed 7 --hours 100

loop, fence, randomness, trace     time, processes that die, one stream of randomness a label, one hash a run
weather, world, people, user       what a seed draws, and who lives in it
network, sockets, bus, clock       what lies between the machines
phone, worker, store               the product: core and loops of the SDK; engine and live side; the store
oracles, agreement, violation      what must hold
run, __main__                      one seed, and many
"""
