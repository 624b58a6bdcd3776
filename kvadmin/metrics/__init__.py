"""Numbers for Prometheus, the same from every process: what is told is asked of the database at that moment.

What happens in a process and nowhere else, such as an error of Azure, is counted there and added to the database's
tallies every few seconds. No metric and no label holds the name of a vault, a secret or a person.
"""
