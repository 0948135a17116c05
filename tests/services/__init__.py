"""How real services start natively for tests: from packages, on free loopback ports, with data in a temporary folder.

`run`, `start`, `stop` and `fault` are the commands; `kafka`, `kafka_secure` (with `certificates` and `tokens`),
`postgres` and `registry` one service each; `process` knows how any of them starts, is watched and ends; `fleet` starts
what was chosen and writes down what is running; `packages` installs what is missing. Python's standard library only, so that a fresh Debian 12 can run it.
"""
