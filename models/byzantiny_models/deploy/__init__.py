"""The model as it is deployed: `.tflite` files read, patched and run, and what other runtimes would answer."""
