"""YAML text becomes a frozen `Manifest`, or every problem of it at once, with its place.

load.py           from text or mapping to values: strict_yaml.py (with places), schema.py and checks.py (what is wrong),
                  build.py and model.py (the values), defaults.py
"""
