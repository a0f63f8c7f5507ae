"""The library beside other libraries that keep records in Firestore; `python -m benchmarks.peers`.

Each peer works in a process of its own, with the packages it asks for. What its process imports
(`worker.py`, `way.py`, `item.py`, `gathering.py`, its own module) needs nothing of ours.
"""
