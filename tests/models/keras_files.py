"""Keras files as the tests need them, written without Keras: configurations, archives, and their damage."""

import io
import json
import zipfile

HDF5 = b"\x89HDF\r\n\x1a\n"


def layer(kind, name, **options):
    return {"module": "keras.layers", "class_name": kind, "config": {"name": name, **options}, "registered_name": None}


def sequential(*layers, shape=(64,)):
    first = layer("InputLayer", "in", batch_shape=[None, *shape])
    return {"class_name": "Sequential", "config": {"name": "m", "layers": [first, *layers]}}


def mlp(*, activation="softmax"):
    return sequential(
        layer("Dense", "a", units=32, activation="relu", use_bias=True),
        layer("Dense", "b", units=10, activation=activation, use_bias=True),
    )


def archive(config, weights=HDF5 + b"\0" * 64, extra=(), compression=zipfile.ZIP_DEFLATED):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as file:
        file.writestr("metadata.json", "{}")
        if config is not None:
            file.writestr("config.json", config if isinstance(config, (str, bytes)) else json.dumps(config))
        if weights is not None:
            file.writestr("model.weights.h5", weights)
        for name, content in extra:
            file.writestr(name, content)
    return data.getvalue()
