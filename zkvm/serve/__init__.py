"""The service ``zkvm serve``: verifies receipts, and proves runs of known programs, over HTTP (``docs/serve.md``)."""
