"""Azure on a laptop: Key Vault's secrets, the ARM calls and the Log Analytics query API, on the wire they speak.

The unchanged official SDKs are its clients; nothing here knows who asks. It imports neither Django, nor the rest of
kvadmin, nor `azure.*`.
"""
