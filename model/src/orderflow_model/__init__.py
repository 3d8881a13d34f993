"""The OrderFlow resource: its model, its rules and all that is derived from it by name.

A leaf that the operator, the runtime and the command line share; it imports nothing else of this project.
"""
