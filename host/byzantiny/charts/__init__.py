"""Pictures as plain Vega-Lite dicts: one look for all, and the way from a specification to SVG or PNG, offline."""
