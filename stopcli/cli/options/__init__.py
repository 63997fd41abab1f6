"""Every option, declared once and shared by the commands that have it: a module for each panel of the help.

A module has its options, and groups of them for `option_groups.with_options`. Defaults are not here: a command takes
them from its config class, where they are the published settings.
"""
