"""Pictures of studies: data in, Vega-Lite specification out; `save` writes SVG, PNG or a page that needs no network."""
