"""The wire: messages, codec, transfer and authentication, without I/O and without a clock."""
