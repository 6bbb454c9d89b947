"""The charts of a run as plain Vega-Lite dicts: data in, specification out; `byzantiny.charts` draws them."""
