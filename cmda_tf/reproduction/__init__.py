"""All rows of Table 1 in one go: the plan, its estimate, and the report over seeds."""
