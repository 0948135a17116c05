"""The checker: judges from outside what a run left behind.

    reading.py   dumps of another client, ledgers, database -> History     (files)
    history.py   the words: what was seen                                  (pure)
    rules/       one file a promise (I1 to I11 of the proof): History -> findings
    gaps.py      the longest silence of a partition that had work
    judge.py     every rule over one history, and the report

It shares no code with the product and no client with it: a bug in either cannot hide itself. Its own tests are histories:
one bad one for each anomaly, every one flagged, and good ones, none flagged.
"""
