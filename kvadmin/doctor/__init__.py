"""`manage.py doctor`: examines, one after the other, what kvadmin needs, and says what is missing and what mends it.

It changes nothing, reads no value, and prints no secret. What a call to Azure cannot say is said to be untested.
"""
