"""Object stores (`s3://`, `gs://`, `az://`): list, read ranges, write on a condition. The one owner of obstore.

Credentials come from the environment or the machine, as obstore takes them; none passes through here.
"""
