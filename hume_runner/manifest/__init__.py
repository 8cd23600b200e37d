"""YAML text, or a mapping, becomes a frozen `Manifest`, or every problem of it at once, with its place.

load.py           from a text (strict_yaml.py) or a mapping (mapping.py) to a document with places (document.py), what
                  is wrong with it (schema.py, checks.py), and the values (build.py, model.py, defaults.py)
"""
