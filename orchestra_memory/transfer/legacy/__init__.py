"""What earlier systems kept in JSON files and documents, as records of this library.

Plain functions from JSON values to :class:`.found.Found`, without any I/O. Nothing is dropped in
silence: what has no field of its own is kept in a record's free map, and named in a warning.
"""
