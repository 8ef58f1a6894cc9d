"""The doctor: is what is here safe to use?

`environment` looks at the machine: packages, devices, attention backends, caches, the hub. `prove` looks at one model, on
this machine: the numbers this project reads from it against the same model run plainly.
"""
