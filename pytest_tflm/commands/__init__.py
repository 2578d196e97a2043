"""The subcommands of ``pytest-tflm``, one module each: ``add(commands)`` says its options, and what
it does imports what it needs."""
