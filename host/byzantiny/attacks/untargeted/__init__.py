"""Updates made to harm the model as a whole."""
