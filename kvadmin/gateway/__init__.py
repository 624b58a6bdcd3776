"""Azure's wire: the only package that imports `azure.*`.

Every function takes and returns plain data, and raises nothing but the classes of errors.py.
"""
