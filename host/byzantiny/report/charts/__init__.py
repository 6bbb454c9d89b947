"""Charts as plain Vega-Lite dicts: data in, specification out; `render` turns one into SVG or PNG, offline."""
