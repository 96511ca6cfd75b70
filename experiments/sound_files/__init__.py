"""Sound files of every format that is read, to be damaged by fuzz_readers.py."""
