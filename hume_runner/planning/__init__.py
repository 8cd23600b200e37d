"""Items to jobs, and why. (Not `plan`: that is the function of this package.)"""
