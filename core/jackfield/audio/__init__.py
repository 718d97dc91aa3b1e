"""Sound: telling containers apart, decoding, encoding, changing rates, and the clips that are served.

PyAV and numpy come with the extra `jackfield[audio]` and are imported when a function needs them.
"""
