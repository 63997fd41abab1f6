"""Fixtures that tests of the analysis share."""

from unrendered import _rendered_where_marked, _unrendered_in_a_module  # noqa: F401, fixtures
