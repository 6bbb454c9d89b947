"""The charts of a sweep's report, as Vega-Lite specifications."""
