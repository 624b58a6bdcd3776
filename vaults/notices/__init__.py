"""What kvadmin tells people outside its pages: that something waits for them, and where. Sent by the worker.

A notice holds names and a link to a page: no value, no button that decides anything, and none of the texts that people
type (reason, ticket, comment), for a value may have been pasted there.
"""
