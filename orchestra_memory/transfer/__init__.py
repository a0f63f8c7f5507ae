"""Records out of one memory and into another: JSONL export, import, and chat exports of others.

Reading and rendering are plain functions over values; :mod:`.importing` and :mod:`.exporting`
bring them to a memory.
"""
